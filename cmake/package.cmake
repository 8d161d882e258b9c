# What is installed, and two Debian packages of it: the client, and the broker with its unit and user.
include(GNUInstallDirs)

install(TARGETS stagepass DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT client)
install(TARGETS stagepassd DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT broker)

set(completion "${CMAKE_BINARY_DIR}/completion/stagepass")
file(MAKE_DIRECTORY "${CMAKE_BINARY_DIR}/completion")
install(CODE "execute_process(COMMAND \"$<TARGET_FILE:stagepass>\" completion bash
  OUTPUT_FILE \"${completion}\" COMMAND_ERROR_IS_FATAL ANY)" COMPONENT client)
install(FILES "${completion}" DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions COMPONENT client)

set(manual "${CMAKE_BINARY_DIR}/manual")
file(MAKE_DIRECTORY "${manual}")
foreach(component client broker)
  install(CODE "execute_process(COMMAND \"$<TARGET_FILE:stagepass-man>\" \"${manual}\"
    COMMAND_ERROR_IS_FATAL ANY)" COMPONENT ${component})
endforeach()
install(DIRECTORY "${manual}/" DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT client
  FILES_MATCHING PATTERN "*.1")
install(DIRECTORY "${manual}/" DESTINATION ${CMAKE_INSTALL_MANDIR}/man5 COMPONENT broker
  FILES_MATCHING PATTERN "*.5")
install(FILES "${CMAKE_SOURCE_DIR}/deploy/man/stagepassd.8" DESTINATION ${CMAKE_INSTALL_MANDIR}/man8
  COMPONENT broker)

install(FILES "${CMAKE_SOURCE_DIR}/deploy/debian/stagepass.service" DESTINATION lib/systemd/system COMPONENT broker)
foreach(component client broker)
  set(name stagepass)
  if(component STREQUAL broker)
    set(name stagepass-broker)
  endif()
  install(FILES "${CMAKE_SOURCE_DIR}/CHANGELOG.md" DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${name}
    COMPONENT ${component})
  install(FILES "${CMAKE_SOURCE_DIR}/LICENSE" DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${name} RENAME copyright
    COMPONENT ${component})
endforeach()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGE_CONTACT "Stagepass maintainers")
set(CPACK_COMPONENTS_ALL client broker)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_CLIENT_PACKAGE_NAME stagepass)
set(CPACK_COMPONENT_CLIENT_DESCRIPTION
    "The client: jobs fetch their credentials with it, platform teams check policies,
auditors and operators read and act.")
set(CPACK_DEBIAN_CLIENT_PACKAGE_DEPENDS "ca-certificates, tzdata")
set(CPACK_DEBIAN_BROKER_PACKAGE_NAME stagepass-broker)
set(CPACK_DEBIAN_BROKER_PACKAGE_DEPENDS "ca-certificates, passwd, tzdata")
set(CPACK_DEBIAN_BROKER_PACKAGE_RECOMMENDS stagepass)
set(CPACK_COMPONENT_BROKER_DESCRIPTION
    "The broker: verifies the identity tokens of CI jobs, decides by policies, gives
credentials that live for minutes, and keeps a ledger that nobody can alter unseen.")
set(CPACK_DEBIAN_BROKER_PACKAGE_CONTROL_EXTRA
    "${CMAKE_SOURCE_DIR}/deploy/debian/postinst" "${CMAKE_SOURCE_DIR}/deploy/debian/prerm"
    "${CMAKE_SOURCE_DIR}/deploy/debian/postrm")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)

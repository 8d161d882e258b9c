# The libraries we use, as imported targets:
#   OpenSSL::Crypto  OpenSSL::SSL  PkgConfig::jansson  PkgConfig::libcurl  PkgConfig::yaml
#   PkgConfig::expat  PkgConfig::gnutls  PkgConfig::p11kit  PkgConfig::libpq  PkgConfig::sqlite
#   PkgConfig::zlib
#   PkgConfig::cmocka (with BUILD_TESTING)
#   Threads::Threads
#   stagepass::libjwt  stagepass::libmicrohttpd  (the system's, or static from the private prefix)
#   stagepass::systemd  (optional: empty without it, defines HAVE_SYSTEMD with it)

# A -D on the command line counts more than the environment, and that more than the default.
set(STAGEPASS_PREFIX "" CACHE PATH
    "Where deploy/install-dependencies puts the libraries that the system has too old")
if(NOT STAGEPASS_PREFIX AND DEFINED ENV{STAGEPASS_PREFIX})
  set(STAGEPASS_PREFIX "$ENV{STAGEPASS_PREFIX}" CACHE PATH "" FORCE)
endif()
set(stagepass_prefix "${STAGEPASS_PREFIX}")
if(NOT stagepass_prefix)
  set(stagepass_prefix "${CMAKE_SOURCE_DIR}/build/prefix")
endif()

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(OpenSSL 3.0 REQUIRED COMPONENTS Crypto SSL)
find_package(PkgConfig REQUIRED)
pkg_check_modules(jansson REQUIRED IMPORTED_TARGET jansson>=2.14)
pkg_check_modules(libcurl REQUIRED IMPORTED_TARGET libcurl>=7.87)
pkg_check_modules(yaml REQUIRED IMPORTED_TARGET yaml-0.1>=0.2.5)
pkg_check_modules(expat REQUIRED IMPORTED_TARGET expat>=2.5)
pkg_check_modules(libpq REQUIRED IMPORTED_TARGET libpq>=15)
pkg_check_modules(sqlite REQUIRED IMPORTED_TARGET sqlite3>=3.40)
pkg_check_modules(p11kit REQUIRED IMPORTED_TARGET p11-kit-1>=0.24)
pkg_check_modules(gnutls REQUIRED IMPORTED_TARGET gnutls>=3.7)
pkg_check_modules(zlib REQUIRED IMPORTED_TARGET zlib>=1.2.13)
if(BUILD_TESTING)
  pkg_check_modules(cmocka REQUIRED IMPORTED_TARGET cmocka>=1.1.5)
endif()

add_library(stagepass::systemd INTERFACE IMPORTED)
pkg_check_modules(systemd QUIET IMPORTED_TARGET libsystemd)
if(systemd_FOUND)
  target_link_libraries(stagepass::systemd INTERFACE PkgConfig::systemd)
  target_compile_definitions(stagepass::systemd INTERFACE HAVE_SYSTEMD)
endif()

# stagepass_recent_library(<name> <minimum> <next major> <archive> <libraries it needs>...)
# Defines stagepass::<name> from the system where that is new enough, else from the private prefix.
function(stagepass_recent_library name minimum too_new archive)
  set(target stagepass::${name})
  pkg_check_modules(system_${name} QUIET IMPORTED_TARGET ${name}>=${minimum} ${name}<${too_new})
  if(system_${name}_FOUND)
    add_library(${target} INTERFACE IMPORTED GLOBAL)
    target_link_libraries(${target} INTERFACE PkgConfig::system_${name})
    return()
  endif()

  set(location "${stagepass_prefix}/lib/${archive}")
  execute_process(
    COMMAND "${PKG_CONFIG_EXECUTABLE}" --atleast-version=${minimum}
            "${stagepass_prefix}/lib/pkgconfig/${name}.pc"
    RESULT_VARIABLE outcome OUTPUT_QUIET ERROR_QUIET)
  if(outcome OR NOT EXISTS "${location}")
    message(FATAL_ERROR "${name} >= ${minimum} is neither on the system nor in "
                        "${stagepass_prefix}: run deploy/install-dependencies as root")
  endif()
  add_library(${target} STATIC IMPORTED GLOBAL)
  set_target_properties(${target} PROPERTIES
    IMPORTED_LOCATION "${location}"
    INTERFACE_INCLUDE_DIRECTORIES "${stagepass_prefix}/include"
    INTERFACE_LINK_LIBRARIES "${ARGN}")
endfunction()

stagepass_recent_library(libjwt 3.3.3 4 libjwt.a PkgConfig::jansson OpenSSL::Crypto)
stagepass_recent_library(libmicrohttpd 1.0.10 2 libmicrohttpd.a PkgConfig::gnutls Threads::Threads)

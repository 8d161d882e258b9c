# How the folders declare what they build. Files are listed, never globbed.

# What each target of ours starts from, whatever it is.
function(stagepass_common name)
  target_link_libraries(${name} PRIVATE
    stagepass_roots stagepass_warnings stagepass_hardening stagepass_instruments)
endfunction()

# stagepass_library(<name> SOURCES <file>... [PUBLIC <library>...] [PRIVATE <library>...])
# A folder as a static library. PUBLIC is only what its headers show.
function(stagepass_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;PUBLIC;PRIVATE")
  add_library(${name} STATIC ${arg_SOURCES})
  stagepass_common(${name})
  target_link_libraries(${name} PUBLIC ${arg_PUBLIC} PRIVATE ${arg_PRIVATE})
endfunction()

# stagepass_embed(<name> <file>)
# Sets <name> to a C file that defines `const unsigned char <name>[]`, the bytes of the file, and
# `const size_t <name>_len`. Made when CMake runs, which it does again when the file changes.
function(stagepass_embed name file)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${file}")
  file(READ "${file}" bytes HEX)
  string(REGEX REPLACE "(..)" "0x\\1, " bytes "${bytes}")
  set(out "${CMAKE_CURRENT_BINARY_DIR}/${name}.c")
  file(CONFIGURE OUTPUT "${out}" @ONLY CONTENT
"#include <stddef.h>

extern const unsigned char @name@[];
extern const size_t @name@_len;

const unsigned char @name@[] = { @bytes@ };
const size_t @name@_len = sizeof(@name@);
")
  set(${name} "${out}" PARENT_SCOPE)
endfunction()

# stagepass_program(<name> SOURCES <file>... [LIBRARIES <library>...])
# A program in bin/.
function(stagepass_program name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LIBRARIES")
  add_executable(${name} ${arg_SOURCES})
  stagepass_common(${name})
  target_link_libraries(${name} PRIVATE ${arg_LIBRARIES})
endfunction()

# stagepass_test(<name> SOURCES <file>... [LIBRARIES <library>...])
# Builds test_<name> with cmocka and registers it as <folder>/<name>, label `unit`. It runs in its
# source folder, so that a test finds its input files by relative path.
function(stagepass_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LIBRARIES")
  get_filename_component(folder "${CMAKE_CURRENT_SOURCE_DIR}" NAME)
  stagepass_program(test_${name} SOURCES ${arg_SOURCES}
                    LIBRARIES ${arg_LIBRARIES} PkgConfig::cmocka)
  set_target_properties(test_${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests/${folder}")
  add_test(NAME ${folder}/${name} COMMAND test_${name}
           WORKING_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}")
  set_tests_properties(${folder}/${name} PROPERTIES LABELS unit TIMEOUT 240)
endfunction()

# stagepass_fuzzer(<name> SOURCES <file>... [LIBRARIES <library>...])
# Builds fuzz_<name>: with libFuzzer in the fuzz preset; otherwise with a main that replays
# tests/fuzz/corpus/<name>, registered as fuzz/<name>, label `fuzz`. The target `fuzzers` builds all.
function(stagepass_fuzzer name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LIBRARIES")
  set(target fuzz_${name})
  set(corpus "${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${name}")
  if(STAGEPASS_FUZZER)
    stagepass_program(${target} SOURCES ${arg_SOURCES} LIBRARIES ${arg_LIBRARIES})
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)
  else()
    stagepass_program(${target} SOURCES ${arg_SOURCES} "${CMAKE_SOURCE_DIR}/tests/fuzz/replay.c"
                      LIBRARIES ${arg_LIBRARIES})
    add_test(NAME fuzz/${name} COMMAND ${target} "${corpus}")
    set_tests_properties(fuzz/${name} PROPERTIES LABELS fuzz TIMEOUT 60)
  endif()
  set_target_properties(${target} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests/fuzz")
  if(NOT TARGET fuzzers)
    add_custom_target(fuzzers)
  endif()
  add_dependencies(fuzzers ${target})
endfunction()

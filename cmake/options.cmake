# What every target of ours is compiled and linked with, as INTERFACE targets. Nothing here is a
# global variable, so that each flag can be traced to the target that asks for it.

option(STAGEPASS_HARDENING "Compile and link as for production" ON)
option(STAGEPASS_TEST_CLOCK "Let the admin listener move the clock; never in a release" OFF)
option(STAGEPASS_COVERAGE "Measure which lines run" OFF)
option(STAGEPASS_FUZZER "Build the fuzz targets with libFuzzer (clang)" OFF)
set(STAGEPASS_SANITIZE "" CACHE STRING "Sanitizers, separated by commas")

if(STAGEPASS_TEST_CLOCK AND STAGEPASS_HARDENING)
  message(FATAL_ERROR "STAGEPASS_TEST_CLOCK and STAGEPASS_HARDENING exclude each other: "
                      "a production build has no movable clock")
endif()

# Where includes start from, and the macros that every file may count on.
add_library(stagepass_roots INTERFACE)
target_include_directories(stagepass_roots INTERFACE "${CMAKE_SOURCE_DIR}"
                                                     "${CMAKE_SOURCE_DIR}/broker")
target_compile_definitions(stagepass_roots INTERFACE
  _DEFAULT_SOURCE
  STAGEPASS_VERSION="${PROJECT_VERSION}"
  $<$<BOOL:${STAGEPASS_TEST_CLOCK}>:STAGEPASS_TEST_CLOCK>)

add_library(stagepass_warnings INTERFACE)
target_compile_options(stagepass_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wformat=2 -Wundef
  -Wstrict-prototypes -Wmissing-prototypes -Wcast-qual -Wcast-align -Wwrite-strings -Wswitch-enum
  -Wvla -Wnull-dereference -Wimplicit-fallthrough
  $<$<C_COMPILER_ID:GNU>:-Wlogical-op -Wduplicated-cond -Wduplicated-branches -Wjump-misses-init
    -Walloc-zero -Warith-conversion -Wtrampolines -Wbidi-chars=any>
  $<$<C_COMPILER_ID:Clang>:-Wcomma -Wassign-enum>)

# Production flags. Assertions state what the program guarantees and stay on: hence -UNDEBUG,
# which follows the -DNDEBUG of CMake's own build types.
add_library(stagepass_hardening INTERFACE)
target_compile_options(stagepass_hardening INTERFACE -UNDEBUG)
if(STAGEPASS_HARDENING)
  target_compile_options(stagepass_hardening INTERFACE
    -O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection
    $<$<STREQUAL:${CMAKE_SYSTEM_PROCESSOR},x86_64>:-fcf-protection=full>
    -ftrivial-auto-var-init=pattern -fno-delete-null-pointer-checks -fno-strict-overflow -fPIE)
  target_link_options(stagepass_hardening INTERFACE
    -pie -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code)
endif()

# Sanitizers, coverage and libFuzzer's counters; empty in an ordinary build.
add_library(stagepass_instruments INTERFACE)
if(STAGEPASS_SANITIZE)
  set(stagepass_sanitize_flags
    -fsanitize=${STAGEPASS_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -O1)
  target_compile_options(stagepass_instruments INTERFACE ${stagepass_sanitize_flags})
  target_link_options(stagepass_instruments INTERFACE ${stagepass_sanitize_flags})
  find_program(STAGEPASS_MOLD mold DOC "A linker that links hundreds of tests in little time")
  if(STAGEPASS_MOLD)
    target_link_options(stagepass_instruments INTERFACE -fuse-ld=mold)
  endif()
  if(STAGEPASS_SANITIZE STREQUAL "thread")
    # With its calls in between GCC forgets what an assertion or a check has excluded.
    target_compile_options(stagepass_instruments INTERFACE -Wno-null-dereference)
  endif()
endif()
if(STAGEPASS_COVERAGE)
  target_compile_options(stagepass_instruments INTERFACE --coverage)
  target_link_options(stagepass_instruments INTERFACE --coverage)
endif()
if(STAGEPASS_FUZZER)
  target_compile_options(stagepass_instruments INTERFACE -fsanitize=fuzzer-no-link)
endif()

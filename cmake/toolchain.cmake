set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

# Asserts that guard our own invariants are TESSERA_ASSERT and stay on; NDEBUG only silences libraries.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1 -DNDEBUG")

find_program(TESSERA_CCACHE ccache)
if(TESSERA_CCACHE)
  # Results are shared between build folders, those that use a precompiled header too.
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      ${TESSERA_CCACHE})
endif()

add_library(tessera_flags INTERFACE)
target_include_directories(tessera_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(tessera_flags INTERFACE -Wall -Wextra -Wnon-virtual-dtor -Werror=switch
                                               -fno-omit-frame-pointer)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(tessera_flags INTERFACE -Wthread-safety)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 reports members of moved-from variants and optionals that are never read.
  target_compile_options(tessera_flags INTERFACE -Wno-maybe-uninitialized)
endif()
if(TESSERA_WERROR)
  target_compile_options(tessera_flags INTERFACE -Werror)
endif()
if(TESSERA_SANITIZE)
  target_compile_options(tessera_flags INTERFACE -fsanitize=${TESSERA_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(tessera_flags INTERFACE -fsanitize=${TESSERA_SANITIZE})
endif()
if(TESSERA_FUZZ)
  # Every room reports its coverage to the fuzzer; the targets of tests/fuzz bring the fuzzer itself.
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "TESSERA_FUZZ needs clang: libFuzzer is a part of it")
  endif()
  target_compile_options(tessera_flags INTERFACE -fsanitize=fuzzer-no-link)
  target_link_options(tessera_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(TESSERA_COVERAGE)
  target_compile_options(tessera_flags INTERFACE --coverage)
  target_link_options(tessera_flags INTERFACE --coverage)
endif()

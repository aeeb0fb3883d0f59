# Headers parsed once for many files. They change no code: what a file includes it names itself. The library of the
# fuzzers goes without (CMAKE_DISABLE_PRECOMPILE_HEADERS), where a missing #include is an error. The room cpu has none: its
# kernels open a target region after the standard headers. The common set is small on purpose: g++ instantiates the
# templates that a header's inline functions use in each file that takes the header precompiled, used or not, which is
# 0.6 s a file for nlohmann/json.hpp and 0.3 s for rapidcheck.h, more than the few files that include them wait for them.
set(LONGSTRIDE_STANDARD_HEADERS <algorithm> <array> <atomic> <cmath> <cstdint> <cstring> <filesystem> <functional> <map>
    <memory> <optional> <set> <span> <string> <vector> <fmt/format.h>)

# longstride_precompile(NAME [PIC] HEADERS header... LINKS library...): the target NAME, which longstride_reuse(target
# NAME) takes them from. PIC, LINKS: as those are compiled, for the compiler takes the headers only under the same flags.
function(longstride_precompile name)
  cmake_parse_arguments(ARG "PIC" "" "HEADERS;LINKS" ${ARGN})
  file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/${name}.cpp CONTENT "// nothing: its target owns the precompiled headers\n")
  add_library(${name} OBJECT ${PROJECT_BINARY_DIR}/${name}.cpp)
  target_link_libraries(${name} PRIVATE longstride_options fmt::fmt nlohmann_json::nlohmann_json ${ARG_LINKS})
  target_precompile_headers(${name} PRIVATE ${ARG_HEADERS})
  if(ARG_PIC)
    set_target_properties(${name} PROPERTIES ${LONGSTRIDE_SHARED_CODE})
  endif()
endfunction()

function(longstride_reuse target name)
  target_precompile_headers(${target} REUSE_FROM ${name})
endfunction()

# longstride_join(target FILES): FILES of its sources are compiled as one, which saves what each would spend on headers
# and on templates that others use too. Their names in unnamed namespaces must differ. As precompiled headers it hides a
# missing #include, and is left out where those are.
function(longstride_join target files)
  if(NOT CMAKE_DISABLE_PRECOMPILE_HEADERS)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE ${files})
  endif()
endfunction()

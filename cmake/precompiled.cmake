# Headers parsed once for many files. They change no code: what a file includes it names itself, and the sanitizers'
# build goes without (CMAKE_DISABLE_PRECOMPILE_HEADERS), where a missing #include is an error. The room cpu has none: its
# kernels open a target region after the standard headers.
set(LONGSTRIDE_STANDARD_HEADERS <algorithm> <array> <atomic> <cmath> <cstdint> <cstring> <filesystem> <functional> <map>
    <memory> <optional> <set> <span> <string> <vector> <fmt/format.h> <nlohmann/json.hpp>)

# longstride_precompile(NAME [PIC] HEADERS header... LINKS library...): the target NAME, which longstride_reuse(target
# NAME) takes them from. PIC, LINKS: as those are compiled, for the compiler takes the headers only under the same flags.
function(longstride_precompile name)
  cmake_parse_arguments(ARG "PIC" "" "HEADERS;LINKS" ${ARGN})
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/${name}.cpp CONTENT "// nothing: its target owns the precompiled headers\n")
  add_library(${name} OBJECT ${CMAKE_BINARY_DIR}/${name}.cpp)
  target_link_libraries(${name} PRIVATE longstride_options fmt::fmt nlohmann_json::nlohmann_json ${ARG_LINKS})
  target_precompile_headers(${name} PRIVATE ${ARG_HEADERS})
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ${ARG_PIC})
endfunction()

function(longstride_reuse target name)
  target_precompile_headers(${target} REUSE_FROM ${name})
endfunction()

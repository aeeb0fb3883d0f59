# What the build needs, all from the distribution's packages (tools/setup installs them).
find_package(OpenMP REQUIRED COMPONENTS CXX)
# Debian's dnnl-config.cmake asks for OpenCL, which products on a CPU do not need: find the library by hand.
find_path(DNNL_INCLUDE_DIR oneapi/dnnl/dnnl.hpp REQUIRED)
find_library(DNNL_LIBRARY dnnl REQUIRED)
add_library(DNNL::dnnl UNKNOWN IMPORTED)
set_target_properties(DNNL::dnnl PROPERTIES IMPORTED_LOCATION ${DNNL_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${DNNL_INCLUDE_DIR})
find_package(fmt REQUIRED CONFIG)
find_package(nlohmann_json REQUIRED CONFIG)
if(LONGSTRIDE_PROGRAM)
  find_package(CLI11 REQUIRED CONFIG)
endif()
find_package(PNG REQUIRED)

# What a build can do without: the feature is then off, says so here, and is an error of its own when asked for.
# longstride_optional(NAME HEADER LIBRARY "what is off without it") sets NAME_LIBRARY and makes the target NAME::NAME.
function(longstride_optional name header library off)
  find_path(${name}_INCLUDE_DIR ${header})
  find_library(${name}_LIBRARY ${library})
  if(${name}_INCLUDE_DIR AND ${name}_LIBRARY)
    add_library(${name}::${name} UNKNOWN IMPORTED GLOBAL)
    set_target_properties(${name}::${name} PROPERTIES IMPORTED_LOCATION ${${name}_LIBRARY}
                          INTERFACE_INCLUDE_DIRECTORIES ${${name}_INCLUDE_DIR})
  else()
    message(WARNING "${library} was not found: ${off}")
  endif()
endfunction()
longstride_optional(JPEGLIB jpeglib.h jpeg "JPEG pictures cannot be read")
longstride_optional(SNDFILE sndfile.h sndfile "sound (WAV, FLAC) cannot be read")
longstride_optional(SOXR soxr.h soxr "sound cannot be resampled")
find_package(Threads REQUIRED)
if(LONGSTRIDE_TESTS OR LONGSTRIDE_FUZZ)
  find_package(GTest REQUIRED)
  find_package(ZLIB REQUIRED)  # libpng's
endif()
if(LONGSTRIDE_TESTS)
  find_path(RAPIDCHECK_INCLUDE rapidcheck.h REQUIRED)
  find_library(RAPIDCHECK_LIBRARY rapidcheck REQUIRED)
endif()

# Rooms of the house: one static library a folder of src/, all of them together liblongstride.
add_library(longstride_options INTERFACE)
# -fno-semantic-interposition: position independent, and still free to inline what other files can call.
target_compile_options(longstride_options INTERFACE -Wall -Wextra -Wshadow -ffp-contract=off -fno-semantic-interposition)
if(LONGSTRIDE_SANITIZE)
  target_compile_options(longstride_options INTERFACE -fsanitize=${LONGSTRIDE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(longstride_options INTERFACE -fsanitize=${LONGSTRIDE_SANITIZE})
endif()
if(LONGSTRIDE_SANITIZE STREQUAL "thread")  # libgomp's order of threads is told to the sanitizer
  add_library(longstride_openmp_order STATIC ${CMAKE_SOURCE_DIR}/tests/openmp_order.cpp)
  set_target_properties(longstride_openmp_order PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_compile_options(longstride_openmp_order PRIVATE -fsanitize=thread)
  target_link_options(longstride_options INTERFACE -Wl,--undefined=longstride_openmp_order)  # else libgomp's may win
  target_link_libraries(longstride_options INTERFACE longstride_openmp_order ${CMAKE_DL_LIBS})
endif()

# What reads the outside is hardened: bounds of standard containers, the stack, and calls of the C library are checked.
# The room cpu is not: its loops are the hot ones, and what they read was checked when the program was compiled.
add_library(longstride_hardened INTERFACE)
if(NOT LONGSTRIDE_SANITIZE)
  target_compile_definitions(longstride_hardened INTERFACE _GLIBCXX_ASSERTIONS)
  target_compile_options(longstride_hardened INTERFACE -fstack-protector-strong -fstack-clash-protection
                         $<$<CONFIG:Release>:-U_FORTIFY_SOURCE> $<$<CONFIG:Release>:-D_FORTIFY_SOURCE=2>)
endif()
target_link_options(longstride_options INTERFACE -Wl,-z,relro,-z,now)
if(LONGSTRIDE_FUZZ)  # libFuzzer sees which branches an input takes
  target_compile_options(longstride_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

# For what surrounds the library, command line and tests: time goes into the library, so these need not be compiled long.
add_library(longstride_quick_options INTERFACE)
target_compile_options(longstride_quick_options INTERFACE $<$<CONFIG:Release,RelWithDebInfo>:-O1>)

include(precompiled)
longstride_precompile(longstride_headers PIC LINKS longstride_hardened HEADERS ${LONGSTRIDE_STANDARD_HEADERS})

# longstride_room(NAME LINKS room... PRIVATE library... OPTIONAL file library...): sources are src/NAME/*.cpp.
# OPTIONAL: pairs; where the target `library` is missing, src/NAME/FILE_none.cpp takes the place of src/NAME/FILE.cpp.
function(longstride_room name)
  cmake_parse_arguments(ROOM "" "" "LINKS;PRIVATE;OPTIONAL" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/*.cpp)
  while(ROOM_OPTIONAL)
    list(POP_FRONT ROOM_OPTIONAL file library)
    if(TARGET ${library})
      list(APPEND ROOM_PRIVATE ${library})
      list(REMOVE_ITEM sources ${CMAKE_SOURCE_DIR}/src/${name}/${file}_none.cpp)
    else()
      list(REMOVE_ITEM sources ${CMAKE_SOURCE_DIR}/src/${name}/${file}.cpp)
    endif()
  endwhile()
  set(target longstride_${name})
  if(NOT sources)
    message(FATAL_ERROR "src/${name} has no source")
  endif()
  add_library(${target} STATIC ${sources})
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON)  # fit for a shared library
  target_include_directories(${target} PUBLIC ${CMAKE_SOURCE_DIR}/include PRIVATE ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(${target} PRIVATE longstride_options fmt::fmt ${ROOM_PRIVATE})
  if(NOT name STREQUAL "cpu")
    target_link_libraries(${target} PRIVATE longstride_hardened)
    longstride_reuse(${target} longstride_headers)
  endif()
  foreach(room ${ROOM_LINKS})
    target_link_libraries(${target} PUBLIC longstride_${room})
  endforeach()
  set_property(GLOBAL APPEND PROPERTY LONGSTRIDE_ROOMS ${target})
endfunction()

function(longstride_library)
  get_property(rooms GLOBAL PROPERTY LONGSTRIDE_ROOMS)
  add_library(longstride INTERFACE)
  target_include_directories(longstride INTERFACE ${CMAKE_SOURCE_DIR}/include)
  target_link_libraries(longstride INTERFACE -Wl,--start-group ${rooms} -Wl,--end-group)
endfunction()

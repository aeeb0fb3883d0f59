# Rooms of the house: one static library a folder of src/, all of them together liblongstride.
add_library(longstride_options INTERFACE)
# -fno-semantic-interposition: position independent, and still free to inline what other files can call.
target_compile_options(longstride_options INTERFACE -Wall -Wextra -Wshadow -ffp-contract=off -fno-semantic-interposition)
if(LONGSTRIDE_SANITIZE)
  target_compile_options(longstride_options INTERFACE -fsanitize=${LONGSTRIDE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(longstride_options INTERFACE -fsanitize=${LONGSTRIDE_SANITIZE})
endif()
if(LONGSTRIDE_SANITIZE STREQUAL "thread")  # libgomp's order of threads is told to the sanitizer
  add_library(longstride_openmp_order STATIC ${PROJECT_SOURCE_DIR}/tests/openmp_order.cpp)
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

# g++ collects its garbage less often: a tenth of its time, for some 130 MB more a file.
target_compile_options(longstride_options INTERFACE $<$<CXX_COMPILER_ID:GNU>:--param=ggc-min-heapsize=600000>)

# For what surrounds the library, command line and tests: time goes into the library, so these need not be compiled long.
# Tests are compiled more often than they run. Both hold classes that the library hides, and so must hide theirs.
add_library(longstride_quick_options INTERFACE)
target_compile_options(longstride_quick_options INTERFACE $<$<CONFIG:Release,RelWithDebInfo>:-O1> -fvisibility=hidden)
add_library(longstride_test_options INTERFACE)
target_compile_options(longstride_test_options INTERFACE $<$<CONFIG:Release>:-O0> $<$<CONFIG:RelWithDebInfo>:-O1> -fvisibility=hidden)

# Code that is fit for a shared library. All of it is hidden but for what public headers declare: they say so by a pragma,
# which g++ and clang++ both take for what is defined elsewhere too.
set(LONGSTRIDE_SHARED_CODE POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)

include(precompiled)
longstride_precompile(longstride_headers PIC LINKS longstride_hardened HEADERS ${LONGSTRIDE_STANDARD_HEADERS})

# longstride_room(NAME LINKS room... PRIVATE library... OPTIONAL file library... SOURCES file...): sources are
# src/NAME/*.cpp, or SOURCES.
# OPTIONAL: pairs; where the target `library` is missing, src/NAME/FILE_none.cpp takes the place of src/NAME/FILE.cpp.
function(longstride_room name)
  cmake_parse_arguments(ROOM "" "" "LINKS;PRIVATE;OPTIONAL;SOURCES" ${ARGN})
  set(sources ${ROOM_SOURCES})
  if(NOT sources)
    file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.cpp)
  endif()
  while(ROOM_OPTIONAL)
    list(POP_FRONT ROOM_OPTIONAL file library)
    if(TARGET ${library})
      list(APPEND ROOM_PRIVATE ${library})
      list(REMOVE_ITEM sources ${PROJECT_SOURCE_DIR}/src/${name}/${file}_none.cpp)
    else()
      list(REMOVE_ITEM sources ${PROJECT_SOURCE_DIR}/src/${name}/${file}.cpp)
    endif()
  endwhile()
  set(target longstride_${name})
  if(NOT sources)
    message(FATAL_ERROR "src/${name} has no source")
  endif()
  add_library(${target} STATIC ${sources})
  set_target_properties(${target} PROPERTIES ${LONGSTRIDE_SHARED_CODE})
  target_include_directories(${target} PUBLIC ${PROJECT_SOURCE_DIR}/include PRIVATE ${PROJECT_SOURCE_DIR}/src)
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
  add_library(longstride::longstride ALIAS longstride)  # the name that an installed one has
  target_include_directories(longstride INTERFACE ${PROJECT_SOURCE_DIR}/include)
  target_compile_features(longstride INTERFACE cxx_std_20)
  target_link_libraries(longstride INTERFACE -Wl,--start-group ${rooms} -Wl,--end-group)

  # The same as one file, for those who install it. Of the shared one only names of the public headers leave, under a
  # version: what inline functions of the standard library brought along stays inside.
  foreach(room ${rooms})
    list(APPEND objects $<TARGET_OBJECTS:${room}>)
  endforeach()
  add_library(longstride_static STATIC EXCLUDE_FROM_ALL ${objects})
  add_library(longstride_shared SHARED EXCLUDE_FROM_ALL ${objects})
  set_target_properties(longstride_static longstride_shared PROPERTIES OUTPUT_NAME longstride LINKER_LANGUAGE CXX
                        LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR} ARCHIVE_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}
                        VERSION ${PROJECT_VERSION} SOVERSION ${LONGSTRIDE_SOVERSION})
  set(map ${PROJECT_BINARY_DIR}/longstride.map)
  set(names longstride::* typeinfo?for?longstride::* typeinfo?name?for?longstride::* vtable?for?longstride::*)
  list(JOIN names "; " names)
  file(CONFIGURE OUTPUT ${map} CONTENT
       "LONGSTRIDE_@LONGSTRIDE_SOVERSION@ { global: extern \"C++\" { @names@; }; local: *; };\n" @ONLY)
  target_link_libraries(longstride_shared PRIVATE ${rooms} longstride_options)  # their archives give nothing any more
  target_link_options(longstride_shared PRIVATE -Wl,-z,text -Wl,--version-script=${map})
  set_target_properties(longstride_shared PROPERTIES LINK_DEPENDS ${map})
  foreach(library longstride_static longstride_shared)
    target_include_directories(${library} INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)
    target_compile_features(${library} INTERFACE cxx_std_20)
  endforeach()
endfunction()

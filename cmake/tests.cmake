# One test program a folder of tests/; a test whose suite is named Slow... carries the label `slow`.
include(GoogleTest)
add_custom_target(test-programs)  # all of them, without the benchmarks
file(GLOB rooms RELATIVE ${CMAKE_SOURCE_DIR}/tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/*)
foreach(room ${rooms})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/${room}/*_test.cpp)
  if(NOT sources)
    continue()
  endif()
  set(target ${room}_test)
  add_executable(${target} ${sources})
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/tests ${RAPIDCHECK_INCLUDE})
  target_compile_definitions(${target} PRIVATE LONGSTRIDE_SOURCE_DIR="${CMAKE_SOURCE_DIR}" LONGSTRIDE_PROGRAM="$<TARGET_FILE:longstride-program>")
  if(room MATCHES "^(pattern|io|data)$")  # rooms that know no device
    target_link_libraries(${target} PRIVATE longstride_${room})
  elseif(room STREQUAL "house")         # reads the sources, links none of them
  elseif(TARGET longstride_${room})
    target_link_libraries(${target} PRIVATE longstride_${room} longstride_cpu)
  else()                                  # the whole program
    target_link_libraries(${target} PRIVATE longstride)
    add_dependencies(${target} longstride-program)
  endif()
  target_link_libraries(${target} PRIVATE longstride_options fmt::fmt nlohmann_json::nlohmann_json OpenMP::OpenMP_CXX
                        ${RAPIDCHECK_LIBRARY} GTest::gtest_main)
  add_dependencies(test-programs ${target})
  add_test(NAME ${room} COMMAND ${target} --gtest_filter=-Slow*)
  add_test(NAME ${room}_slow COMMAND ${target} --gtest_filter=Slow*)
  set_tests_properties(${room}_slow PROPERTIES LABELS slow)
endforeach()

# Gradients in a file, for the checks against another implementation (tests/reference).
add_executable(gradients_dump ${CMAKE_SOURCE_DIR}/tests/reference/gradients_dump.cpp)
set_target_properties(gradients_dump PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
target_include_directories(gradients_dump PRIVATE ${CMAKE_SOURCE_DIR}/src)
target_link_libraries(gradients_dump PRIVATE longstride longstride_options)
add_dependencies(test-programs gradients_dump)

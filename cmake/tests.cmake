# One test program a folder of tests/. Label `slow`: the same programs asked for more.
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
  if(room MATCHES "^(io|data)$")  # they make files through the same libraries
    target_link_libraries(${target} PRIVATE PNG::PNG)
    foreach(library JPEGLIB SNDFILE SOXR)
      if(TARGET ${library}::${library})
        target_link_libraries(${target} PRIVATE ${library}::${library})
        target_compile_definitions(${target} PRIVATE LONGSTRIDE_HAS_${library})
      endif()
    endforeach()
  endif()
  target_link_libraries(${target} PRIVATE longstride_options fmt::fmt nlohmann_json::nlohmann_json OpenMP::OpenMP_CXX
                        ${RAPIDCHECK_LIBRARY} GTest::gtest_main)
  add_dependencies(test-programs ${target})
  add_test(NAME ${room} COMMAND ${target})
  if(LONGSTRIDE_SANITIZE)  # tests ask for more memory than there is, and want the error rather than the sanitizer's end
    set_tests_properties(${room} PROPERTIES ENVIRONMENT "ASAN_OPTIONS=allocator_may_return_null=1")
  endif()
endforeach()

# Random patterns, files and configurations, twenty times as many as rapidcheck tries by itself.
foreach(room pattern io data model)
  add_test(NAME ${room}_many_cases COMMAND ${room}_test)
  set_tests_properties(${room}_many_cases PROPERTIES LABELS slow ENVIRONMENT "RC_PARAMS=max_success=2000")
endforeach()

# Network, training and decoder in a process that was told which instruction set to use, oneDNN included.
foreach(isa scalar avx2 avx512 avx512_bf16)
  foreach(room cpu model train sample)
    add_test(NAME ${room}_on_${isa} COMMAND ${room}_test)
    set_tests_properties(${room}_on_${isa} PROPERTIES LABELS slow ENVIRONMENT "LONGSTRIDE_ISA=${isa}"
                         SKIP_REGULAR_EXPRESSION "this machine cannot run")
  endforeach()
endforeach()

# Gradients and decoded data in files, for the checks against other implementations (tests/reference).
foreach(dump gradients_dump data_dump)
  add_executable(${dump} ${CMAKE_SOURCE_DIR}/tests/reference/${dump}.cpp)
  set_target_properties(${dump} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_include_directories(${dump} PRIVATE ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(${dump} PRIVATE longstride longstride_options nlohmann_json::nlohmann_json)
  add_dependencies(test-programs ${dump})
endforeach()

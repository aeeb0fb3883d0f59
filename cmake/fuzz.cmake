# Programs that read made-up bytes for ever (libFuzzer, clang only): one a target of tests/fuzz, build/fuzz/fuzz/TARGET,
# over the rooms that read, and build/fuzz/fuzz_seeds, which writes what they begin with. tools/fuzz builds and runs them.
file(GLOB targets CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/fuzz/targets/*.cpp)
add_library(fuzz_harness OBJECT ${PROJECT_SOURCE_DIR}/tests/fuzz/harness.cpp ${PROJECT_SOURCE_DIR}/tests/fuzz/libfuzzer.cpp
                                ${PROJECT_SOURCE_DIR}/tests/fuzz/no_device.cpp)
target_include_directories(fuzz_harness PUBLIC ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/tests)
target_link_libraries(fuzz_harness PUBLIC longstride_options fmt::fmt nlohmann_json::nlohmann_json)

# The readers: rooms without a device, and of training what reads a run that is resumed.
add_library(fuzz_readers STATIC ${PROJECT_SOURCE_DIR}/src/train/log_lines.cpp ${PROJECT_SOURCE_DIR}/src/train/progress.cpp)
target_include_directories(fuzz_readers PRIVATE ${PROJECT_SOURCE_DIR}/src)
target_link_libraries(fuzz_readers PUBLIC longstride_data longstride_model fmt::fmt nlohmann_json::nlohmann_json
                      PRIVATE longstride_options)

add_custom_target(fuzz-programs)
foreach(source ${targets})
  get_filename_component(name ${source} NAME_WE)
  add_executable(fuzz_${name} ${source})
  set_target_properties(fuzz_${name} PROPERTIES OUTPUT_NAME ${name} RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/fuzz)
  target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  target_link_libraries(fuzz_${name} PRIVATE fuzz_harness fuzz_readers ZLIB::ZLIB)
  add_dependencies(fuzz-programs fuzz_${name})
endforeach()

add_executable(fuzz_seeds ${PROJECT_SOURCE_DIR}/tests/fuzz/seeds.cpp ${PROJECT_SOURCE_DIR}/tests/fuzz/no_device.cpp)
set_target_properties(fuzz_seeds PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
target_include_directories(fuzz_seeds PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/tests)
target_link_libraries(fuzz_seeds PRIVATE fuzz_readers longstride_options fmt::fmt nlohmann_json::nlohmann_json
                      GTest::gtest PNG::PNG)
foreach(library JPEGLIB SNDFILE)
  if(TARGET ${library}::${library})
    target_link_libraries(fuzz_seeds PRIVATE ${library}::${library})
    target_compile_definitions(fuzz_seeds PRIVATE LONGSTRIDE_HAS_${library})
  endif()
endforeach()
add_dependencies(fuzz-programs fuzz_seeds)

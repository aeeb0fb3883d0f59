# One program a question, in bench/: build/<preset>/bench/<question>.
file(GLOB questions CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/bench/*.cpp)
foreach(source ${questions})
  get_filename_component(question ${source} NAME_WE)
  if(question STREQUAL "loading" AND NOT TARGET JPEGLIB::JPEGLIB)  # it makes photographs
    continue()
  endif()
  add_executable(bench_${question} ${source})
  set_target_properties(bench_${question} PROPERTIES OUTPUT_NAME ${question} RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bench)
  target_include_directories(bench_${question} PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/bench)
  target_link_libraries(bench_${question} PRIVATE longstride longstride_options fmt::fmt nlohmann_json::nlohmann_json CLI11::CLI11
                        OpenMP::OpenMP_CXX DNNL::dnnl)
endforeach()
if(TARGET bench_loading)
  target_link_libraries(bench_loading PRIVATE JPEGLIB::JPEGLIB)
endif()

# One test program a folder of tests/. Label `slow`: the same programs asked for more.
include(GoogleTest)

# Threads of OpenMP that wait in a loop for one another take the processor from those they wait for, where two tests run
# side by side: the suite then takes many times as long.
function(longstride_test name program)
  add_test(NAME ${name} COMMAND ${program})
  set_property(TEST ${name} APPEND PROPERTY ENVIRONMENT "OMP_WAIT_POLICY=passive")
endfunction()

add_custom_target(test-programs)  # all of them, without the benchmarks
file(GLOB rooms RELATIVE ${PROJECT_SOURCE_DIR}/tests CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/*)
longstride_precompile(longstride_test_headers LINKS longstride_test_options OpenMP::OpenMP_CXX GTest::gtest
                      HEADERS ${LONGSTRIDE_STANDARD_HEADERS} <gtest/gtest.h>)
longstride_precompile(longstride_apps_test_headers LINKS longstride_test_options OpenMP::OpenMP_CXX GTest::gtest
                      HEADERS ${LONGSTRIDE_STANDARD_HEADERS} <gtest/gtest.h> <nlohmann/json.hpp>)

# The tests of operations, which ask every device (tests/ops/on_device.h), are compiled once and linked twice: as ops_test,
# and into cuda_test with the twin of the cards' backend, where cards have no other.
file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/ops/*_test.cpp)
add_library(operation_tests OBJECT ${sources})
target_include_directories(operation_tests PRIVATE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src
                           ${PROJECT_SOURCE_DIR}/tests ${RAPIDCHECK_INCLUDE})
target_link_libraries(operation_tests PRIVATE longstride_options longstride_test_options fmt::fmt nlohmann_json::nlohmann_json
                      OpenMP::OpenMP_CXX GTest::gtest)
longstride_reuse(operation_tests longstride_test_headers)
longstride_join(operation_tests 4)

longstride_cuda_host()
foreach(room ${rooms})
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/${room}/*_test.cpp)
  if(NOT sources)
    continue()
  endif()
  if(room STREQUAL "cuda" AND LONGSTRIDE_SANITIZE STREQUAL "thread")  # it is not told of fibers
    continue()
  endif()
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/${room}/*.cpp)  # what its tests share as well
  if(room STREQUAL "fuzz")
    file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/fuzz/targets/*.cpp)
    list(APPEND sources ${PROJECT_SOURCE_DIR}/tests/fuzz/kept_test.cpp ${PROJECT_SOURCE_DIR}/tests/fuzz/harness.cpp)
  endif()
  if(room STREQUAL "ops")
    list(FILTER sources EXCLUDE REGEX "_test.cpp$")
  endif()
  if(room MATCHES "^(ops|cuda)$")
    list(APPEND sources $<TARGET_OBJECTS:operation_tests>)
  endif()
  if(room STREQUAL "cuda")
    file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/cuda/primitives.cu.cpp CONTENT "#include \"cuda/primitives.cu\"\n" @ONLY)
    list(APPEND sources $<TARGET_OBJECTS:longstride_cuda_host> ${PROJECT_BINARY_DIR}/cuda/primitives.cu.cpp)
  endif()
  if(room STREQUAL "faults" AND LONGSTRIDE_SANITIZE)  # both want to be the first library that is loaded
    continue()
  endif()
  set(target ${room}_test)
  if(room MATCHES "^(pattern|io|data|house|fuzz)$")  # these know no device
    set(main GTest::gtest_main)
  else()
    set(main GTest::gtest)
    list(APPEND sources ${PROJECT_SOURCE_DIR}/tests/main_on_isa.cpp)
  endif()
  add_executable(${target} ${sources})
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/tests ${RAPIDCHECK_INCLUDE})
  if(room MATCHES "^(pattern|io|data)$")
    target_link_libraries(${target} PRIVATE longstride_${room})
  elseif(room STREQUAL "house")         # reads the sources, links none of them
    target_compile_definitions(${target} PRIVATE LONGSTRIDE_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  elseif(room STREQUAL "fuzz")            # all targets of fuzzing in one program, for the inputs that are kept
    target_link_libraries(${target} PRIVATE longstride ZLIB::ZLIB)
    target_compile_definitions(${target} PRIVATE LONGSTRIDE_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 0)
  elseif(TARGET longstride_${room})
    target_link_libraries(${target} PRIVATE longstride)  # devices are found by the linker, from any room
  else()                                  # the whole program
    target_link_libraries(${target} PRIVATE longstride)
    target_compile_definitions(${target} PRIVATE LONGSTRIDE_PROGRAM="$<TARGET_FILE:longstride-program>"
                                                 LONGSTRIDE_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
    add_dependencies(${target} longstride-program)
    if(TARGET longstride::mpi)
      target_compile_definitions(${target} PRIVATE LONGSTRIDE_MPIRUN="${MPIEXEC_EXECUTABLE}")
    endif()
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
  target_link_libraries(${target} PRIVATE longstride_options longstride_test_options fmt::fmt
                        nlohmann_json::nlohmann_json OpenMP::OpenMP_CXX
                        ${RAPIDCHECK_LIBRARY} ${main})
  if(room STREQUAL "cuda")  # some make kernels that its twin makes too, of which the linker keeps one
    target_compile_options(${target} PRIVATE -O2)
  endif()
  if(room STREQUAL "apps")
    longstride_reuse(${target} longstride_apps_test_headers)
  else()
    longstride_reuse(${target} longstride_test_headers)
  endif()
  longstride_join(${target} 4)
  add_dependencies(test-programs ${target})
  longstride_test(${room} ${target})
  if(LONGSTRIDE_SANITIZE)  # tests ask for more memory than there is, and want the error rather than the sanitizer's end
    set_property(TEST ${room} APPEND PROPERTY ENVIRONMENT "ASAN_OPTIONS=allocator_may_return_null=1"
                 "TSAN_OPTIONS=allocator_may_return_null=1")
  endif()
endforeach()

# The cards' twin interprets every thread: what it takes long for, most of attention, is asked at length. What knows no device
# is asked by ops_test.
if(TARGET cuda_test)
  set(long "*AttentionOperation.Equals*:*AttentionOperation.AnyNumber*:*AttentionLayout*:*DecodeOperation*:*Stress.Widths*:*LinearOperation.IsItsDefinition*:TrainOnACard*:PlanOnACard.IsWhat*:Hopper*.Equals*:Hopper*ThatWaits*")
  set(elsewhere "DefinitionsGradient*:AttentionDefinition*:Definitions*:MemoryPlan*:Philox*:Program.*")
  set_property(TEST cuda APPEND PROPERTY ENVIRONMENT "GTEST_FILTER=-${long}:${elsewhere}")
  longstride_test(cuda_at_length cuda_test)
  set_property(TEST cuda_at_length PROPERTY LABELS slow)
  set_property(TEST cuda_at_length APPEND PROPERTY ENVIRONMENT "GTEST_FILTER=${long}")
endif()

# What the cards' backend asks of cuBLASLt and of the CUDA runtime, which tests/cuda/calls answers: their headers say what
# the calls are.
if(LONGSTRIDE_HAS_CUDA)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/cuda/calls/*.cpp)
  foreach(source product card usable hopper/tensor_map hopper/encode)
    list(APPEND sources ${PROJECT_SOURCE_DIR}/src/cuda/${source}.cpp)
  endforeach()
  if(NCCL_INCLUDE_DIR)
    list(APPEND sources ${cuda_nccl_sources} ${PROJECT_SOURCE_DIR}/src/parallel/world.cpp)  # not what lies beside it
  else()
    list(FILTER sources EXCLUDE REGEX "/nccl[^/]*$")
  endif()
  # As versions of CUDA before 12.5 compile it, under another name; later ones say that they would rather not.
  add_library(encode_asked_by_name OBJECT ${PROJECT_SOURCE_DIR}/src/cuda/hopper/encode.cpp)
  target_compile_definitions(encode_asked_by_name PRIVATE LONGSTRIDE_DRIVER_IS_ASKED_BY_VERSION=0 encode=encode_asked_by_name)
  target_compile_options(encode_asked_by_name PRIVATE -Wno-deprecated-declarations)
  target_include_directories(encode_asked_by_name PRIVATE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src
                             ${CUDAToolkit_INCLUDE_DIRS})
  target_link_libraries(encode_asked_by_name PRIVATE longstride_options)
  add_executable(cuda_calls_test ${sources} $<TARGET_OBJECTS:encode_asked_by_name>)
  set_target_properties(cuda_calls_test PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  target_include_directories(cuda_calls_test PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/tests
                             ${CUDAToolkit_INCLUDE_DIRS})
  if(NCCL_INCLUDE_DIR)
    target_include_directories(cuda_calls_test SYSTEM PRIVATE ${NCCL_INCLUDE_DIR})
  endif()
  target_link_libraries(cuda_calls_test PRIVATE longstride_ops longstride_options longstride_test_options fmt::fmt
                        GTest::gtest_main)
  add_dependencies(test-programs cuda_calls_test)
  longstride_test(cuda_calls cuda_calls_test)

  # What a card itself is asked: the tests of operations, and of tests/cuda what need not know the twin. tools/gpu runs it.
  add_library(card_primitives OBJECT ${PROJECT_SOURCE_DIR}/tests/cuda/primitives.cu)
  set_target_properties(card_primitives PROPERTIES CUDA_STANDARD 20 CUDA_STANDARD_REQUIRED ON CUDA_EXTENSIONS OFF
                        CUDA_ARCHITECTURES OFF CUDA_VISIBILITY_PRESET hidden)
  target_include_directories(card_primitives PRIVATE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src
                             ${PROJECT_SOURCE_DIR}/tests)
  target_compile_options(card_primitives PRIVATE ${LONGSTRIDE_CUDA_OPTIONS})
  set(sources $<TARGET_OBJECTS:operation_tests> $<TARGET_OBJECTS:card_primitives>
              ${PROJECT_SOURCE_DIR}/tests/cuda/card/order.cpp ${PROJECT_SOURCE_DIR}/tests/cuda/devices.cpp)
  foreach(source network passing_sums primitives step train)
    list(APPEND sources ${PROJECT_SOURCE_DIR}/tests/cuda/${source}_test.cpp)
  endforeach()
  add_executable(card_test ${sources})
  target_compile_definitions(card_test PRIVATE LONGSTRIDE_CARD_TEST)
  set_target_properties(card_test PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests LINKER_LANGUAGE CXX)
  target_include_directories(card_test PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/tests ${RAPIDCHECK_INCLUDE})
  target_link_libraries(card_test PRIVATE longstride longstride_options longstride_test_options fmt::fmt
                        nlohmann_json::nlohmann_json OpenMP::OpenMP_CXX ${RAPIDCHECK_LIBRARY} GTest::gtest_main)
  add_dependencies(test-programs card_test)
endif()

# The script for machines with a card, tried without one.
if(TARGET cuda_test)
  add_test(NAME gpu_script COMMAND ${PROJECT_SOURCE_DIR}/tests/cuda/gpu_script ${PROJECT_BINARY_DIR})
  set_tests_properties(gpu_script PROPERTIES LABELS slow)
endif()

# What takes the program long: several processes that meet, wait for one another and notice who is gone; memory and time
# of whole runs; every command of the documents.
if(TARGET apps_test)
  set(long "Processes*:UnderMpirun*:PlanMemory*:Documents*:*PlansWithAnAdviceThatWorks:*ThePresetIsThatOfTheFilesKind")
  set_property(TEST apps APPEND PROPERTY ENVIRONMENT "GTEST_FILTER=-${long}")
  longstride_test(apps_at_length apps_test)
  set_property(TEST apps_at_length PROPERTY LABELS slow)
  set_property(TEST apps_at_length APPEND PROPERTY ENVIRONMENT "GTEST_FILTER=${long}")
endif()

# Random patterns, programs, files and configurations, twenty times as many as rapidcheck tries by itself.
foreach(room pattern ops io data model)
  longstride_test(${room}_many_cases ${room}_test)
  set_property(TEST ${room}_many_cases PROPERTY LABELS slow)
  set_property(TEST ${room}_many_cases APPEND PROPERTY ENVIRONMENT "RC_PARAMS=max_success=2000")
endforeach()

# File calls that fail, and processes that end at them: tests/faults/preload stands between the program and its files.
if(TARGET faults_test)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/faults/preload/*.cpp)
  add_library(file_calls SHARED ${sources})
  set_target_properties(file_calls PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  target_link_libraries(file_calls PRIVATE longstride_options ${CMAKE_DL_LIBS})
  target_compile_definitions(faults_test PRIVATE LONGSTRIDE_FILE_CALLS="$<TARGET_FILE:file_calls>")
  target_link_libraries(faults_test PRIVATE file_calls)
  target_sources(faults_test PRIVATE ${PROJECT_BINARY_DIR}/commit.cpp)  # so that it writes what the program writes
  add_dependencies(faults_test commit)
  longstride_test(faults_everywhere faults_test)
  add_test(NAME damage_everywhere COMMAND train_test --gtest_filter=Damage*)
  foreach(test faults_everywhere damage_everywhere)
    set_property(TEST ${test} PROPERTY LABELS slow)
    set_property(TEST ${test} APPEND PROPERTY ENVIRONMENT "LONGSTRIDE_FAULTS=everywhere")
    set_property(TEST ${test} PROPERTY COST 1000)  # the longest of all begin first
  endforeach()
endif()

# Operations, network, training and decoder in a process that was told which instruction set to use, oneDNN included.
foreach(isa scalar avx2 avx512 avx512_bf16)
  foreach(room ops cpu model train sample)
    longstride_test(${room}_on_${isa} ${room}_test)
    set_property(TEST ${room}_on_${isa} APPEND PROPERTY ENVIRONMENT "LONGSTRIDE_ISA=${isa}")
    set_tests_properties(${room}_on_${isa} PROPERTIES LABELS slow SKIP_RETURN_CODE 77)  # tests/main_on_isa.cpp
  endforeach()
endforeach()

# What was installed, from outside: libraries, an example of its own, manual and completions.
if(LONGSTRIDE_INSTALL AND NOT LONGSTRIDE_SANITIZE)
  add_test(NAME install COMMAND ${PROJECT_SOURCE_DIR}/tests/install/run ${PROJECT_BINARY_DIR})
  set_tests_properties(install PROPERTIES LABELS slow)
endif()

# Gradients and decoded data in files, for the checks against other implementations (tests/reference).
foreach(dump gradients_dump data_dump)
  add_executable(${dump} ${PROJECT_SOURCE_DIR}/tests/reference/${dump}.cpp)
  set_target_properties(${dump} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  target_include_directories(${dump} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(${dump} PRIVATE longstride longstride_options longstride_test_options nlohmann_json::nlohmann_json)
  add_dependencies(test-programs ${dump})
endforeach()

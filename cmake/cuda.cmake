# The room cuda: the backend for NVIDIA's cards where the build has CUDA, else what says that it has not. And its twin for
# tests, which needs no CUDA: the same files, kernels included, compiled for the host with cuda/host in the place of what
# asks the runtime and cuBLASLt.
#
# OFF by default: nothing of it has run on a card yet (docs/cuda.md), and a build that has it takes a card where there is one.
set(LONGSTRIDE_CUDA OFF CACHE STRING "Build the backend for NVIDIA's cards: ON, AUTO (where CUDA 12.4 or later is found) or OFF")
set_property(CACHE LONGSTRIDE_CUDA PROPERTY STRINGS AUTO ON OFF)
set(LONGSTRIDE_CUDA_ARCHITECTURES 80 90a CACHE STRING "Cards that kernels are compiled for; later ones compile the first of these when they start")

set(LONGSTRIDE_HAS_CUDA OFF)
if(LONGSTRIDE_CUDA)
  include(CheckLanguage)
  set(CMAKE_CUDA_ARCHITECTURES OFF)  # said by flags, which know sm_90a in every version
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    enable_language(CUDA)
    if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # nvcc has it since 12.0, CMake 3.25 does not know
      set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
    endif()
    find_package(CUDAToolkit 12.4 QUIET)
    if(CUDAToolkit_FOUND AND TARGET CUDA::cublasLt AND TARGET CUDA::cudart_static)
      set(LONGSTRIDE_HAS_CUDA ON)
    endif()
  endif()
  if(LONGSTRIDE_HAS_CUDA)
    message(STATUS "CUDA ${CUDAToolkit_VERSION} was found: there is a backend for cards")
  elseif(LONGSTRIDE_CUDA STREQUAL "AUTO")
    message(STATUS "CUDA 12.4 or later was not found: nothing is computed on cards")
  else()
    message(FATAL_ERROR "LONGSTRIDE_CUDA=${LONGSTRIDE_CUDA} needs CUDA 12.4 or later with cuBLASLt, which was not found (CUDACXX may name its nvcc)")
  endif()
endif()

set(cuda ${PROJECT_SOURCE_DIR}/src/cuda)
file(GLOB cuda_sources CONFIGURE_DEPENDS ${cuda}/*.cpp ${cuda}/attention/*.cpp ${cuda}/hopper/*.cpp)
file(GLOB cuda_kernels CONFIGURE_DEPENDS ${cuda}/*.cu ${cuda}/attention/*.cu)
set(cuda_nccl_sources ${cuda}/nccl_carrier.cpp ${cuda}/nccl_library.cpp)  # or nccl_none.cpp
list(REMOVE_ITEM cuda_sources ${cuda}/none.cpp ${cuda}/nccl_none.cpp ${cuda_nccl_sources})

if(LONGSTRIDE_HAS_CUDA)
  # The runtime is linked in, so that a program of this build starts where there is no CUDA and says so by itself. cuBLASLt
  # is some 400 MB: it is linked as the shared library that comes with CUDA.
  # NCCL's library, as large and no part of CUDA, is loaded when processes meet; its header alone is needed here.
  find_path(NCCL_INCLUDE_DIR nccl.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
  if(NCCL_INCLUDE_DIR)
    message(STATUS "NCCL's header was found: ${NCCL_INCLUDE_DIR}")
  else()
    message(STATUS "NCCL's header was not found: what processes with cards exchange goes through the hosts' memory")
    set(cuda_nccl_sources ${cuda}/nccl_none.cpp)
  endif()
  longstride_room(cuda LINKS ops parallel SOURCES ${cuda_sources} ${cuda_nccl_sources}
                  PRIVATE CUDA::cudart_static CUDA::cublasLt ${CMAKE_DL_LIBS})
  if(NCCL_INCLUDE_DIR)
    target_include_directories(longstride_cuda SYSTEM PRIVATE ${NCCL_INCLUDE_DIR})
  endif()
  if("90a" IN_LIST LONGSTRIDE_CUDA_ARCHITECTURES)
    target_compile_definitions(longstride_cuda PRIVATE LONGSTRIDE_CUDA_HAS_90A)
  endif()
  add_library(longstride_cuda_kernels STATIC ${cuda_kernels})
  set_target_properties(longstride_cuda_kernels PROPERTIES ${LONGSTRIDE_SHARED_CODE} CUDA_VISIBILITY_PRESET hidden
                        CUDA_STANDARD 20 CUDA_STANDARD_REQUIRED ON CUDA_EXTENSIONS OFF CUDA_ARCHITECTURES OFF)
  target_include_directories(longstride_cuda_kernels PRIVATE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
  # As on the host, what is fused is written out: both give the same bits. Functions of ops/ and pattern/ are constexpr.
  set(LONGSTRIDE_CUDA_OPTIONS -fmad=false --expt-relaxed-constexpr
      -Xcompiler=-Wall,-Wextra,-ffp-contract=off,-fno-semantic-interposition)
  foreach(architecture ${LONGSTRIDE_CUDA_ARCHITECTURES})
    list(APPEND LONGSTRIDE_CUDA_OPTIONS -gencode=arch=compute_${architecture},code=sm_${architecture})
  endforeach()
  list(GET LONGSTRIDE_CUDA_ARCHITECTURES 0 architecture)
  list(APPEND LONGSTRIDE_CUDA_OPTIONS -gencode=arch=compute_${architecture},code=compute_${architecture})
  target_compile_options(longstride_cuda_kernels PRIVATE ${LONGSTRIDE_CUDA_OPTIONS})
  set_property(GLOBAL APPEND PROPERTY LONGSTRIDE_ROOMS longstride_cuda_kernels)
else()
  longstride_room(cuda LINKS ops SOURCES ${cuda}/none.cpp)
endif()

# longstride_cuda_host, objects for tests: never in the product.
function(longstride_cuda_host)
  file(GLOB sources CONFIGURE_DEPENDS ${cuda}/host/*.cpp)
  list(APPEND sources ${cuda_sources} ${cuda}/nccl_none.cpp)
  list(REMOVE_ITEM sources ${cuda}/card.cpp ${cuda}/product.cpp ${cuda}/hopper/encode.cpp)
  foreach(kernels ${cuda_kernels})  # a file cannot be of two languages
    file(RELATIVE_PATH name ${PROJECT_SOURCE_DIR}/src ${kernels})
    file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/${name}.cpp CONTENT "#include \"@name@\"\n" @ONLY)
    list(APPEND sources ${PROJECT_BINARY_DIR}/${name}.cpp)
  endforeach()
  add_library(longstride_cuda_host OBJECT ${sources})
  target_include_directories(longstride_cuda_host PRIVATE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(longstride_cuda_host PRIVATE longstride_options fmt::fmt)
  target_compile_options(longstride_cuda_host PRIVATE -O2 -fvisibility=hidden)  # the interpreter is slow enough
  longstride_join(longstride_cuda_host 8)
  set_source_files_properties(${cuda}/host/fibers.cpp PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)  # its types are its own
endfunction()

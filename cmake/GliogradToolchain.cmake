# Compiler settings of every target, in one place.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()

# -Wno-restrict: g++ 12 sees overlap in std::string + std::string (its bug 105329).
# -Wno-dangling-reference: g++ 13 sees one where a function takes a temporary key and returns an entry
# of a map (its bug 107532).
# -ffp-contract=off: g++ contracts a*b + c in its FMA clones otherwise, and CPU and GPU must agree.
add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-Wall> $<$<COMPILE_LANGUAGE:CXX>:-Wextra>
                    $<$<COMPILE_LANGUAGE:CXX>:-Werror> $<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict>
                    $<$<AND:$<COMPILE_LANG_AND_ID:CXX,GNU>,$<VERSION_GREATER_EQUAL:$<CXX_COMPILER_VERSION>,13>>:-Wno-dangling-reference>
                    $<$<COMPILE_LANGUAGE:CXX>:-ffp-contract=off>)
include_directories(${CMAKE_SOURCE_DIR})

if(GLIOGRAD_SANITIZE STREQUAL "address")
  # -Wno-maybe-uninitialized: under the address sanitizer g++ 12 sees it in std::regex and
  # std::function (its bug 105562).
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=undefined
                      -fno-omit-frame-pointer -Wno-maybe-uninitialized)
  add_link_options(-fsanitize=address,undefined)
elseif(GLIOGRAD_SANITIZE STREQUAL "thread")
  add_compile_options(-fsanitize=thread -fno-omit-frame-pointer)
  add_link_options(-fsanitize=thread)
elseif(GLIOGRAD_SANITIZE)
  message(FATAL_ERROR "GLIOGRAD_SANITIZE must be empty, address or thread; got ${GLIOGRAD_SANITIZE}")
endif()

# CUDA: found or not, said in one line. Everything compiles for all architectures, GPU or no GPU:
# machine code for sm_80 and sm_90, and PTX of the oldest architecture after those, which the driver
# of any newer GPU compiles (docs/decisions.md).
set(GLIOGRAD_HAS_CUDA OFF)
if(NOT GLIOGRAD_CUDA STREQUAL "OFF" AND NOT GLIOGRAD_SANITIZE)
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    set(GLIOGRAD_CUDA_SASS 80 90)
    list(TRANSFORM GLIOGRAD_CUDA_SASS APPEND -real OUTPUT_VARIABLE CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_STANDARD 20)
    enable_language(CUDA)
    set(GLIOGRAD_CUDA_PTX 100)
    if(CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 12.8)
      set(GLIOGRAD_CUDA_PTX 90)
    endif()
    list(APPEND CMAKE_CUDA_ARCHITECTURES ${GLIOGRAD_CUDA_PTX}-virtual)
    # What kernels/gpu/library.cpp tells of itself.
    string(REPLACE ";" "," sass "${GLIOGRAD_CUDA_SASS}")
    set(GLIOGRAD_LIBRARY_FACTS "GLIOGRAD_CUDA_SASS=${sass};GLIOGRAD_CUDA_PTX=${GLIOGRAD_CUDA_PTX}")
    # Not every CMake 3.25 knows how nvcc is told C++20.
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
    set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
    find_package(CUDAToolkit REQUIRED)
    set(GLIOGRAD_HAS_CUDA ON)
    find_package(CUDNN 9 QUIET)
    set(GLIOGRAD_HAS_CUDNN ${CUDNN_FOUND})
    set(cudnn_line "no cuDNN 9")
    if(CUDNN_FOUND)
      set(cudnn_line "cuDNN ${CUDNN_VERSION}")
    endif()
    find_package(CUBLASLT QUIET)
    set(GLIOGRAD_HAS_CUBLASLT ${CUBLASLT_FOUND})
    if(NOT CUBLASLT_FOUND)
      string(APPEND cudnn_line ", no cuBLASLt")
    endif()
    message(STATUS "CUDA: ${CMAKE_CUDA_COMPILER} ${CMAKE_CUDA_COMPILER_VERSION}, sm_80, sm_90 and PTX ${GLIOGRAD_CUDA_PTX}, ${cudnn_line}")
  elseif(GLIOGRAD_CUDA STREQUAL "ON")
    message(FATAL_ERROR "GLIOGRAD_CUDA=ON, but no nvcc was found (set CUDACXX or PATH)")
  else()
    message(STATUS "CUDA: no nvcc found; built for the CPU alone")
  endif()
endif()

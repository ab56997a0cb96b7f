# Defines CUBLASLT::cublasLt. Looked for in CUBLAS_ROOT, the CUDA toolkit, and the pip packages of the
# python3 on PATH, which ship libcublasLt.so.N without the unversioned link.
set(_cublas_roots ${CUBLAS_ROOT} $ENV{CUBLAS_ROOT} ${CUDAToolkit_TARGET_DIR} ${CUDAToolkit_LIBRARY_ROOT})
find_package(Python3 QUIET COMPONENTS Interpreter)
if(Python3_Interpreter_FOUND)
  execute_process(
    COMMAND ${Python3_EXECUTABLE} -c
            "from importlib.util import find_spec as f; s = f('nvidia'); print(';'.join(s.submodule_search_locations) if s else '')"
    OUTPUT_VARIABLE _cublas_pip OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
set(_cublas_places ${_cublas_roots})
foreach(place IN LISTS _cublas_pip)
  list(APPEND _cublas_places ${place}/cu${CUDAToolkit_VERSION_MAJOR} ${place}/cublas)
endforeach()
find_path(CUBLASLT_INCLUDE_DIR cublasLt.h HINTS ${_cublas_places} PATH_SUFFIXES include)
if(CUBLASLT_INCLUDE_DIR)
  cmake_path(GET CUBLASLT_INCLUDE_DIR PARENT_PATH _cublas_tree)
endif()
find_library(CUBLASLT_LIBRARY NAMES cublasLt libcublasLt.so.${CUDAToolkit_VERSION_MAJOR} NAMES_PER_DIR
             HINTS ${_cublas_tree} ${_cublas_roots} PATH_SUFFIXES lib lib64 lib/x86_64-linux-gnu)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(CUBLASLT REQUIRED_VARS CUBLASLT_LIBRARY CUBLASLT_INCLUDE_DIR)
if(CUBLASLT_FOUND AND NOT TARGET CUBLASLT::cublasLt)
  add_library(CUBLASLT::cublasLt UNKNOWN IMPORTED)
  set_target_properties(CUBLASLT::cublasLt PROPERTIES IMPORTED_LOCATION ${CUBLASLT_LIBRARY}
                                                      INTERFACE_INCLUDE_DIRECTORIES ${CUBLASLT_INCLUDE_DIR})
endif()

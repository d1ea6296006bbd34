# Records this project's own settings, before weft becomes part of it.
get_cmake_property(cache_before CACHE_VARIABLES)
set(own_properties COMPILE_OPTIONS COMPILE_DEFINITIONS INCLUDE_DIRECTORIES LINK_OPTIONS TESTS)
foreach(property IN LISTS own_properties)
  get_property(before_${property} DIRECTORY PROPERTY ${property})
endforeach()
set(own_variables CMAKE_BUILD_TYPE CMAKE_CXX_STANDARD CMAKE_CXX_EXTENSIONS CMAKE_CXX_COMPILER_LAUNCHER CMAKE_CXX_FLAGS
    CMAKE_POSITION_INDEPENDENT_CODE CMAKE_EXPORT_COMPILE_COMMANDS BUILD_SHARED_LIBS)
foreach(variable IN LISTS own_variables)
  set(before_${variable} "${${variable}}")
endforeach()

# Asked of this project's sources, not of weft's.
set(CMAKE_UNITY_BUILD ON)
set(CMAKE_CXX_CLANG_TIDY false)

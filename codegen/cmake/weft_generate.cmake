# weft_generate(<target> [LIBRARY <library>] [IMPORT_DIRS <folder>...] <file.proto>...)
#
# Compiles .proto files with protoc and weft's plugin and adds the result to <target>, a library or an executable:
#
#   x.proto -> x.pb.h x.pb.cc        messages
#              x.weft.h x.weft.cc    service base classes and stubs
#              x.weft_mock.h         a gMock class for each stub; include it in tests only
#
# A file is named, and its headers are included, by its path below the first of IMPORT_DIRS that holds it, else below the
# current source folder. What a file imports is found there too, and "weft/rpc/options.proto" always. <target> is linked
# with LIBRARY, else with weft::weft, and whoever links <target> finds the headers.

cmake_policy(VERSION 3.20...3.25)

function(weft_generate target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "LIBRARY" "IMPORT_DIRS")
  if(NOT TARGET ${target})
    message(FATAL_ERROR "weft_generate: '${target}' is no target; add_library or add_executable it first")
  endif()
  # IMPORT_DIRS may stand before the files: what ends in .proto is one of them.
  set(protos)
  set(roots)
  foreach(item IN LISTS arg_UNPARSED_ARGUMENTS arg_IMPORT_DIRS)
    get_filename_component(item "${item}" ABSOLUTE)
    if(item MATCHES "\\.proto$")
      list(APPEND protos "${item}")
    else()
      list(APPEND roots "${item}")
    endif()
  endforeach()
  if(NOT protos)
    message(FATAL_ERROR "weft_generate(${target}): no .proto file given")
  endif()
  list(APPEND roots "${CMAKE_CURRENT_SOURCE_DIR}")

  set(out "${CMAKE_CURRENT_BINARY_DIR}/weft_gen/${target}")
  file(MAKE_DIRECTORY "${out}")
  set(paths)
  foreach(root IN LISTS roots ITEMS "${weft_IMPORT_DIR}")
    list(APPEND paths "--proto_path=${root}")
  endforeach()

  foreach(proto IN LISTS protos)
    set(name)
    foreach(root IN LISTS roots)
      cmake_path(IS_PREFIX root "${proto}" NORMALIZE inside)
      if(inside)
        file(RELATIVE_PATH name "${root}" "${proto}")
        break()
      endif()
    endforeach()
    if(NOT name)
      message(FATAL_ERROR "weft_generate(${target}): ${proto} is below none of: ${roots}")
    endif()
    string(REGEX REPLACE "\\.proto$" "" stem "${out}/${name}")
    add_custom_command(
      OUTPUT "${stem}.pb.h" "${stem}.pb.cc" "${stem}.weft.h" "${stem}.weft.cc" "${stem}.weft_mock.h"
      COMMAND protobuf::protoc "--plugin=protoc-gen-weft=$<TARGET_FILE:weft::protoc-gen-weft>" "--cpp_out=${out}"
              "--weft_out=${out}" "--dependency_out=${stem}.pb.d" ${paths} "${proto}"
      DEPENDS "${proto}" protobuf::protoc weft::protoc-gen-weft
      DEPFILE "${stem}.pb.d"
      COMMENT "protoc ${name}"
      VERBATIM)
    target_sources(${target} PRIVATE "${stem}.pb.cc" "${stem}.weft.cc" "${stem}.pb.h" "${stem}.weft.h"
                                     "${stem}.weft_mock.h")
  endforeach()
  target_include_directories(${target} PUBLIC "${out}")
  if(NOT arg_LIBRARY)
    set(arg_LIBRARY weft::weft)
  endif()
  target_link_libraries(${target} PUBLIC ${arg_LIBRARY})
endfunction()

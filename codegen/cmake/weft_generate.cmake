# weft_generate(<target> [LIBRARY <library>] [MESSAGES ON|OFF] [MOCKS ON|OFF] [SERVICES_NAMESPACE <name>]
#               [IMPORT_DIRS <folder>...] <file.proto>...)
#
# Compiles .proto files with protoc and weft's plugin and adds the result to <target>, a library or an executable:
#
#   x.proto -> x.pb.h x.pb.cc        messages. None with MESSAGES OFF: <target> has them already, or links what has them
#              x.weft.h x.weft.cc    service base classes and stubs, where the file has a service
#              x.weft_mock.h         a gMock class for each stub; include it in tests only. None with MOCKS OFF
#
# A file is named, and its headers are included, by its path below the first of IMPORT_DIRS that holds it, else below the
# current source folder. Imports are looked for there too; "weft/rpc/options.proto" is always found. <target> is linked
# with LIBRARY, else with weft::weft. Targets that link <target> find the headers.
#
# With SERVICES_NAMESPACE rpc the services, stubs and mocks of package demo are in demo::rpc, for programs that also have
# gRPC's code of the same file: its classes have the same names. Messages stay in demo.
#
# <target> may be another folder's. A file that only the build makes is taken to have a service.

cmake_policy(VERSION 3.20...3.25)

# protobuf::protoc is known in the folder that found it; weft_generate is called in others too.
function(_weft_share_protoc)
  if(NOT TARGET protobuf::protoc OR TARGET weft::protoc)
    return()
  endif()
  get_target_property(imported protobuf::protoc IMPORTED)
  if(NOT imported)
    return()
  endif()
  set(locations IMPORTED_LOCATION)
  get_target_property(configurations protobuf::protoc IMPORTED_CONFIGURATIONS)
  foreach(configuration IN LISTS configurations)
    list(APPEND locations IMPORTED_LOCATION_${configuration})
  endforeach()
  foreach(property IN LISTS locations)
    get_target_property(location protobuf::protoc ${property})
    if(location)
      add_executable(weft::protoc IMPORTED GLOBAL)
      set_target_properties(weft::protoc PROPERTIES IMPORTED_LOCATION "${location}")
      return()
    endif()
  endforeach()
endfunction()
_weft_share_protoc()

# The target to add sources to, or an error that says why there is none.
function(_weft_generate_target name out)
  if(NOT TARGET ${name})
    message(FATAL_ERROR "weft_generate: '${name}' is no target; add_library or add_executable it first")
  endif()
  get_target_property(aliased ${name} ALIASED_TARGET)
  if(aliased)
    set(name ${aliased})
  endif()
  get_target_property(type ${name} TYPE)
  get_target_property(imported ${name} IMPORTED)
  if(type STREQUAL "INTERFACE_LIBRARY" OR type STREQUAL "UTILITY" OR imported)
    message(FATAL_ERROR "weft_generate: '${name}' compiles no sources (${type}), and what is generated has some: generate "
                        "into a STATIC or OBJECT library, and link '${name}' with that one")
  endif()
  set(${out} ${name} PARENT_SCOPE)
endfunction()

# Sets <out> to TRUE if a .proto has a service. Comments and strings are taken out of it first.
function(_weft_has_service proto out)
  set(${out} TRUE PARENT_SCOPE)
  if(NOT EXISTS "${proto}")
    return()
  endif()
  if(NOT CMAKE_SCRIPT_MODE_FILE)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${proto}")
  endif()
  file(READ "${proto}" text)
  # A repeated group would cost CMake's matcher stack for each character: one character stands for each end of a comment.
  string(ASCII 1 end)
  string(REGEX REPLACE "\\\\[^\n]" " " text "${text}")
  string(REPLACE "/*/" "/* /" text "${text}")
  string(REPLACE "*/" "${end}" text "${text}")
  string(REGEX REPLACE "\"[^\"\n]*\"|'[^'\n]*'|//[^\n]*|/\\*[^${end}]*${end}" " " text "${text}")
  if(NOT text MATCHES "(^|[^A-Za-z0-9_.])service[ \t\r\n]+[A-Za-z_][A-Za-z0-9_]*[ \t\r\n]*{")
    set(${out} FALSE PARENT_SCOPE)
  endif()
endfunction()

function(weft_generate target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "LIBRARY;MESSAGES;MOCKS;SERVICES_NAMESPACE" "IMPORT_DIRS")
  _weft_generate_target(${target} target)
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
  get_property(own_protos GLOBAL PROPERTY WEFT_IMPORT_DIR)
  set(paths)
  foreach(root IN LISTS roots ITEMS "${own_protos}")
    list(APPEND paths "--proto_path=${root}")
  endforeach()
  set(protoc protobuf::protoc)
  if(TARGET weft::protoc)
    set(protoc weft::protoc)
  endif()
  set(messages TRUE)
  if(DEFINED arg_MESSAGES AND NOT arg_MESSAGES)
    set(messages FALSE)
  endif()
  set(mocks TRUE)
  if(DEFINED arg_MOCKS AND NOT arg_MOCKS)
    set(mocks FALSE)
  endif()
  # The files listed below must come, so they are asked for even where no service is found after all.
  set(parameters --weft_opt=empty=true)
  if(NOT mocks)
    list(APPEND parameters --weft_opt=mock=false)
  endif()
  if(arg_SERVICES_NAMESPACE)
    list(APPEND parameters "--weft_opt=services_namespace=${arg_SERVICES_NAMESPACE}")
  endif()

  set(made)
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
    set(files)
    set(plugin)
    if(messages)
      set(files "${stem}.pb.h" "${stem}.pb.cc")
      set(plugin "--cpp_out=${out}")
    endif()
    _weft_has_service("${proto}" has_service)
    if(has_service)
      list(APPEND files "${stem}.weft.h" "${stem}.weft.cc")
      if(mocks)
        list(APPEND files "${stem}.weft_mock.h")
      endif()
      list(APPEND plugin "--plugin=protoc-gen-weft=$<TARGET_FILE:weft::protoc-gen-weft>" "--weft_out=${out}" ${parameters})
    endif()
    if(NOT files)
      continue()
    endif()
    add_custom_command(
      OUTPUT ${files}
      COMMAND ${protoc} ${plugin} "--dependency_out=${stem}.pb.d" ${paths} "${proto}"
      DEPENDS "${proto}" ${protoc} weft::protoc-gen-weft
      DEPFILE "${stem}.pb.d"
      COMMENT "protoc ${name}"
      VERBATIM)
    # Warnings in protoc's own sources are none of the target's.
    set_source_files_properties("${stem}.pb.cc" TARGET_DIRECTORY ${target} PROPERTIES COMPILE_OPTIONS -w)
    list(APPEND made ${files})
  endforeach()

  target_sources(${target} PRIVATE ${made})
  get_target_property(folder ${target} SOURCE_DIR)
  if(NOT folder STREQUAL CMAKE_CURRENT_SOURCE_DIR)
    # The commands are this folder's, and a target runs only its own folder's.
    set_source_files_properties(${made} TARGET_DIRECTORY ${target} PROPERTIES GENERATED TRUE)
    string(MD5 id "${made}")
    string(SUBSTRING ${id} 0 8 id)
    add_custom_target(weft_generate_${target}_${id} DEPENDS ${made})
    add_dependencies(${target} weft_generate_${target}_${id})
  endif()
  target_include_directories(${target} PUBLIC "${out}")
  if(NOT arg_LIBRARY)
    set(arg_LIBRARY weft::weft)
  endif()
  target_link_libraries(${target} PUBLIC ${arg_LIBRARY})
endfunction()

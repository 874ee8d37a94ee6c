# SPDX-License-Identifier: Apache-2.0
# gRPC for mimic-dra: mimic_grpc (what to link) and mimic_grpc_library() (code from .proto files). Sets MIMIC_HAS_GRPC;
# without gRPC the rest is built and mimic-dra is not, but in CI, where nothing may be left out unseen.
#
# The kubelet's sockets are UNIX ones, so the variant without TLS is used. MIMIC_STATIC_GRPC links it and what it needs into the
# program: 57 shared libraries less to load and to carry in an image.
option(MIMIC_STATIC_GRPC "Link gRPC and protobuf statically into mimic-dra" OFF)

find_package(PkgConfig)
find_program(MIMIC_PROTOC protoc)
find_program(MIMIC_GRPC_PLUGIN grpc_cpp_plugin)
if(PKG_CONFIG_FOUND)
  pkg_check_modules(grpc IMPORTED_TARGET grpc++_unsecure protobuf)
endif()
if(MIMIC_PROTOC AND MIMIC_GRPC_PLUGIN AND grpc_FOUND)
  set(MIMIC_HAS_GRPC ON)
else()
  set(MIMIC_HAS_GRPC OFF)
  set(missing "mimic-dra is not built: gRPC's headers, protoc or grpc_cpp_plugin are missing (tools/setup dra installs them)")
  if(DEFINED ENV{CI})
    message(FATAL_ERROR "${missing}")
  endif()
  message(STATUS "${missing}")
  return()
endif()

add_library(mimic_grpc INTERFACE)
if(MIMIC_STATIC_GRPC)
  # Debian's .pc files name no private libraries, so they are named here. TLS (libcurl's) and the C library stay shared.
  execute_process(COMMAND ${CMAKE_CXX_COMPILER} -print-file-name=libgrpc_unsecure.a
    OUTPUT_VARIABLE archive OUTPUT_STRIP_TRAILING_WHITESPACE)
  get_filename_component(folder ${archive} DIRECTORY)
  file(GLOB absl ${folder}/libabsl_*.a)
  set(archives ${absl})
  foreach(name grpc++_unsecure grpc_unsecure gpr upb address_sorting protobuf re2 cares z)
    find_library(MIMIC_ARCHIVE_${name} lib${name}.a REQUIRED)  # libgrpc-dev and what it depends on has them
    list(APPEND archives ${MIMIC_ARCHIVE_${name}})
  endforeach()
  target_link_libraries(mimic_grpc INTERFACE -Wl,--start-group ${archives} -Wl,--end-group)
else()
  target_link_libraries(mimic_grpc INTERFACE PkgConfig::grpc)
endif()

# mimic_grpc_library(NAME ROOT folder PROTOS a.proto ...)  A static library mimic_NAME (alias mimic::NAME) of what protoc makes
# of files of the caller's folder, with "a.pb.h" and "a.grpc.pb.h" to include by their path below ROOT. Our warnings are not
# for generated code.
function(mimic_grpc_library name)
  cmake_parse_arguments(arg "" "ROOT" "PROTOS" ${ARGN})
  set(out ${CMAKE_CURRENT_BINARY_DIR}/${name})
  file(MAKE_DIRECTORY ${out})
  set(sources "")
  foreach(proto ${arg_PROTOS})
    file(RELATIVE_PATH path ${arg_ROOT} ${CMAKE_CURRENT_SOURCE_DIR}/${proto})
    string(REGEX REPLACE "\\.proto$" "" base ${out}/${path})
    set(made ${base}.pb.cc ${base}.pb.h ${base}.grpc.pb.cc ${base}.grpc.pb.h)
    add_custom_command(OUTPUT ${made}
      COMMAND ${MIMIC_PROTOC} -I . --cpp_out=${out} --grpc_out=${out}
        --plugin=protoc-gen-grpc=${MIMIC_GRPC_PLUGIN} ${path}
      DEPENDS ${proto} WORKING_DIRECTORY ${arg_ROOT} COMMENT "protoc ${path}" VERBATIM)
    list(APPEND sources ${base}.pb.cc ${base}.grpc.pb.cc)
  endforeach()
  add_library(mimic_${name} STATIC ${sources})
  target_include_directories(mimic_${name} SYSTEM PUBLIC ${out})
  target_compile_features(mimic_${name} PUBLIC cxx_std_20)
  target_link_libraries(mimic_${name} PUBLIC mimic_grpc)
  if(MIMIC_SANITIZE)
    target_compile_options(mimic_${name} PRIVATE -fsanitize=${MIMIC_SANITIZE} -fno-omit-frame-pointer)
  endif()
  target_compile_options(mimic_${name} PRIVATE -w $<$<CONFIG:Debug>:-O0> $<$<CONFIG:RelWithDebInfo>:-Os>)
  set_target_properties(mimic_${name} PROPERTIES CXX_CLANG_TIDY "")
  add_library(mimic::${name} ALIAS mimic_${name})
endfunction()

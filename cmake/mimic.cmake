# SPDX-License-Identifier: Apache-2.0
# How a folder declares its targets, so that every target gets the same warnings, sanitizers and include root.

add_library(mimic_options INTERFACE)
target_compile_options(mimic_options INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wconversion -Wshadow>
  $<$<COMPILE_LANGUAGE:C>:-Wall -Wextra>)
if(MIMIC_WERROR)
  target_compile_options(mimic_options INTERFACE -Werror)
endif()
if(MIMIC_SANITIZE)
  # Without no-sanitize-recover UBSan only prints, and the test passes.
  target_compile_options(mimic_options INTERFACE
    -fsanitize=${MIMIC_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(mimic_options INTERFACE -fsanitize=${MIMIC_SANITIZE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    # The manual of gcc: sanitizers cause false positives of this warning. The release build keeps it.
    target_compile_options(mimic_options INTERFACE -Wno-maybe-uninitialized)
  endif()
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND MIMIC_SANITIZE MATCHES undefined)
    # gcc 12 (PR 71962): these three make the addresses of globals non-constant, which register tables compare in
    # constexpr. A null dereference still ends under ASan, and the clang-built fuzzers keep all three.
    target_compile_options(mimic_options INTERFACE
      -fno-sanitize=null,nonnull-attribute,returns-nonnull-attribute)
  endif()
endif()
if(MIMIC_COVERAGE)
  target_compile_options(mimic_options INTERFACE --coverage -O0 -fprofile-abs-path)
  target_link_options(mimic_options INTERFACE --coverage)
endif()

# Where the path of an #include begins: the groups of src/ are no part of it ("pci/function/function.h"). `devices` and `cli`
# are rooted at src/ itself.
set(MIMIC_INCLUDE_ROOTS "")
foreach(group lib transports plan run)
  list(APPEND MIMIC_INCLUDE_ROOTS ${PROJECT_SOURCE_DIR}/src/${group})
endforeach()
list(APPEND MIMIC_INCLUDE_ROOTS ${PROJECT_SOURCE_DIR}/src)

# mimic_unite(TARGET)  Compiles the C++ files of a target MIMIC_UNITY at a time, so that their headers are parsed and
# the templates they share instantiated once a batch. The files see each other's unnamed namespaces then. A file that
# has options of its own, or is made by the build, stays alone.
# Not CMake's UNITY_BUILD: until 3.29 it includes by absolute path, and ccache could not share between trees.
function(mimic_unite target)
  if(MIMIC_UNITY GREATER 1)
    # At the folder's end, when all of its sources and their properties are known.
    cmake_language(EVAL CODE "cmake_language(DEFER CALL mimic_unite_now [[${target}]])")
  endif()
endfunction()
function(mimic_unite_now target)
  set(alone "")
  set(files "")
  get_target_property(sources ${target} SOURCES)
  foreach(source ${sources})
    get_filename_component(path ${source} ABSOLUTE)
    set(own "")
    foreach(property GENERATED COMPILE_DEFINITIONS COMPILE_OPTIONS)
      get_source_file_property(value ${path} ${property})
      if(value)
        string(APPEND own "${value}")
      endif()
    endforeach()
    cmake_path(IS_PREFIX PROJECT_BINARY_DIR ${path} made)
    if(own OR made OR NOT path MATCHES "\\.cpp$")
      list(APPEND alone ${source})
    else()
      file(RELATIVE_PATH below ${PROJECT_SOURCE_DIR} ${path})
      list(APPEND files ${below})
    endif()
  endforeach()
  list(LENGTH files count)
  if(count LESS 2)
    return()
  endif()
  # Batches of one size rather than a small one at the end.
  math(EXPR batches "(${count} + ${MIMIC_UNITY} - 1) / ${MIMIC_UNITY}")
  math(EXPR last "${batches} - 1")
  set(units "")
  foreach(batch RANGE ${last})
    math(EXPR from "${count} * ${batch} / ${batches}")
    math(EXPR length "${count} * (${batch} + 1) / ${batches} - ${from}")
    list(SUBLIST files ${from} ${length} names)
    list(TRANSFORM names PREPEND "#include \"")
    list(TRANSFORM names APPEND "\"\n")
    list(JOIN names "" text)
    set(unit ${CMAKE_CURRENT_BINARY_DIR}/units/${target}_${batch}.cpp)
    file(CONFIGURE OUTPUT ${unit} CONTENT "${text}" @ONLY)
    list(APPEND units ${unit})
  endforeach()
  set_property(TARGET ${target} PROPERTY SOURCES ${units} ${alone})
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR})
endfunction()

# Models, transports, the device host and the mediator are optimised, for guests wait for them. The rest is small in a
# release, and not optimised under sanitizers, where that doubles what it costs to compile; of the mediator only the rules
# are, whose tests play millions of jobs.
function(mimic_optimize target)
  cmake_path(RELATIVE_PATH CMAKE_CURRENT_SOURCE_DIR BASE_DIRECTORY ${PROJECT_SOURCE_DIR} OUTPUT_VARIABLE folder)
  if(NOT folder MATCHES "^src/(lib|transports|devices|run/device_host|run/mediator/schedule)|^tests/fuzz|^bench")
    target_compile_options(${target} PRIVATE $<$<CONFIG:Debug>:-O0>)
    if(NOT folder MATCHES "^src/run/mediator")
      target_compile_options(${target} PRIVATE $<$<CONFIG:RelWithDebInfo>:-Os>)
    endif()
  endif()
endfunction()

# mimic_library(NAME SOURCES a.cpp ... [PUBLIC deps ...] [PRIVATE deps ...])
# A static library mimic_NAME (alias mimic::NAME) whose headers are included relative to their group of src/.
function(mimic_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  if(arg_SOURCES)
    add_library(mimic_${name} STATIC ${arg_SOURCES})
    target_include_directories(mimic_${name} PUBLIC
      "$<BUILD_INTERFACE:${MIMIC_INCLUDE_ROOTS}>"
      $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/mimic>)
    target_compile_features(mimic_${name} PUBLIC cxx_std_20)
    target_link_libraries(mimic_${name} PUBLIC ${arg_PUBLIC}
      PRIVATE ${arg_PRIVATE} $<BUILD_INTERFACE:mimic_options>)
    mimic_unite(mimic_${name})
    mimic_optimize(mimic_${name})
  else()
    add_library(mimic_${name} INTERFACE)
    target_include_directories(mimic_${name} INTERFACE
      "$<BUILD_INTERFACE:${MIMIC_INCLUDE_ROOTS}>"
      $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/mimic>)
    target_compile_features(mimic_${name} INTERFACE cxx_std_20)
    target_link_libraries(mimic_${name} INTERFACE ${arg_PUBLIC})
  endif()
  add_library(mimic::${name} ALIAS mimic_${name})
  set_target_properties(mimic_${name} PROPERTIES EXPORT_NAME ${name})
endfunction()

# mimic_program(NAME SOURCES a.cpp ... LIBS deps ...)  An executable called NAME in build/bin.
function(mimic_program name)
  cmake_parse_arguments(arg "" "" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_include_directories(${name} PRIVATE ${MIMIC_INCLUDE_ROOTS})
  target_link_libraries(${name} PRIVATE ${arg_LIBS} mimic_options)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
  mimic_unite(${name})
  mimic_optimize(${name})
endfunction()

# mimic_test(NAME SOURCES a_test.cpp ... LIBS deps ... [LABEL unit|protocol|...] [TIMEOUT seconds])
# One GoogleTest executable, registered with ctest as one test: 2 cores, and process start dominates small cases.
function(mimic_test name)
  if(NOT MIMIC_BUILD_TESTS)
    return()
  endif()
  cmake_parse_arguments(arg "" "LABEL;TIMEOUT" "SOURCES;LIBS;RUN_BY" ${ARGN})
  if(NOT arg_LABEL)
    set(arg_LABEL unit)
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 600)  # for a load of 10 and sanitizers
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_include_directories(${name} PRIVATE ${MIMIC_INCLUDE_ROOTS} ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${arg_LIBS} GTest::gmock GTest::gtest_main mimic_options)
  mimic_unite(${name})
  # Optimising the code of tests doubles what it costs to compile them under sanitizers, and saves nothing when they run.
  target_compile_options(${name} PRIVATE $<$<CONFIG:Debug>:-O0>)
  add_test(NAME ${name} COMMAND ${arg_RUN_BY} $<TARGET_FILE:${name}>)
  set_tests_properties(${name} PROPERTIES LABELS ${arg_LABEL} TIMEOUT ${arg_TIMEOUT})
endfunction()

# Tests that boot guests: one for each core, and 4 GiB for each, for its machines have up to 2 GiB and a device host
# under sanitizers has as much again.
cmake_host_system_information(RESULT mimic_cores QUERY NUMBER_OF_LOGICAL_CORES)
cmake_host_system_information(RESULT mimic_mebibytes QUERY TOTAL_PHYSICAL_MEMORY)
math(EXPR mimic_guests "${mimic_mebibytes} / 4096")
if(mimic_guests GREATER mimic_cores)
  set(mimic_guests ${mimic_cores})
elseif(mimic_guests LESS 1)
  set(mimic_guests 1)
endif()
set(MIMIC_VM_GUESTS ${mimic_guests} CACHE STRING "Tests with guests that run at the same time")

# mimic_guest_turn(TEST [CONFIGURATIONS name])  A test that boots guests takes turns with the others of its configuration by
# one of MIMIC_VM_GUESTS locks, and begins before those that take seconds: it is long.
function(mimic_guest_turn test)
  set(counter mimic_guest_tests_${ARGN})
  get_property(count GLOBAL PROPERTY "${counter}")
  if(NOT count)
    set(count 0)
  endif()
  math(EXPR lock "${count} % ${MIMIC_VM_GUESTS}")
  math(EXPR count "${count} + 1")
  set_property(GLOBAL PROPERTY "${counter}" ${count})
  set_tests_properties(${test} PROPERTIES RESOURCE_LOCK vm_${lock} COST 100)
endfunction()

# mimic_fuzzer(NAME SOURCES a_fuzzer.cpp ... LIBS deps ... CORPUS folder [MAX_LEN bytes] [SECONDS seconds])
# One libFuzzer executable in the fuzz preset, nothing elsewhere. Its test, labelled fuzz, starts from the committed
# corpus (relative to the caller, read only) and keeps what it finds in the build folder, to start from next time.
if(MIMIC_BUILD_FUZZERS)
  add_custom_target(fuzzers)
endif()
function(mimic_fuzzer name)
  if(NOT MIMIC_BUILD_FUZZERS)
    return()
  endif()
  cmake_parse_arguments(arg "" "CORPUS;MAX_LEN;SECONDS" "SOURCES;LIBS" ${ARGN})
  if(NOT arg_MAX_LEN)
    set(arg_MAX_LEN 4096)
  endif()
  if(NOT arg_SECONDS)
    set(arg_SECONDS ${MIMIC_FUZZ_SECONDS})
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_include_directories(${name} PRIVATE ${MIMIC_INCLUDE_ROOTS} ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${arg_LIBS} mimic_options)
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  add_dependencies(fuzzers ${name})
  mimic_unite(${name})
  set(found ${CMAKE_CURRENT_BINARY_DIR}/${name}.found)
  file(MAKE_DIRECTORY ${found})
  add_test(NAME ${name} COMMAND ${name} -seed=${MIMIC_FUZZ_SEED} -max_total_time=${arg_SECONDS}
    -max_len=${arg_MAX_LEN} -timeout=25
    -rss_limit_mb=2048 -artifact_prefix=${CMAKE_CURRENT_BINARY_DIR}/${name}. -print_final_stats=1
    ${found} ${CMAKE_CURRENT_SOURCE_DIR}/${arg_CORPUS})
  math(EXPR timeout "${arg_SECONDS} + 120")
  set_tests_properties(${name} PROPERTIES LABELS fuzz TIMEOUT ${timeout} COST ${arg_SECONDS})
endfunction()

# mimic_device(NAME [MODEL_ONLY | VIRTIO] [NAMESPACE name] [MODEL lib] SOURCES a.cpp ... [PUBLIC deps ...] [PRIVATE deps ...])
# The device in the folder of the caller: a library mimic_NAME, and its place in the only list of devices there is, which
# is generated from these calls (src/devices/CMakeLists.txt). model.h of the folder holds NAMESPACE::kModel (mimic::NAME
# unless said) and, unless MODEL_ONLY, declares NAMESPACE::make_function(), of a VIRTIO device NAMESPACE::make_device();
# a dra.h, if it has one, NAMESPACE::kDra. MODEL: the library with the functions that kModel points to, if it does: programs
# that only read topologies link that and not the device.
function(mimic_device name)
  cmake_parse_arguments(arg "MODEL_ONLY;VIRTIO" "NAMESPACE;MODEL" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  if(NOT arg_NAMESPACE)
    set(arg_NAMESPACE mimic::${name})
  endif()
  if(arg_VIRTIO)
    list(APPEND arg_PUBLIC mimic::virtio)
  else()
    list(APPEND arg_PUBLIC mimic::pci)
  endif()
  if(arg_MODEL)
    list(APPEND arg_PUBLIC ${arg_MODEL})
    set_property(GLOBAL APPEND PROPERTY MIMIC_MODEL_LIBRARIES ${arg_MODEL})
  endif()
  mimic_library(${name} SOURCES ${arg_SOURCES} PUBLIC mimic::model mimic::reg ${arg_PUBLIC}
    PRIVATE ${arg_PRIVATE})
  # Below the tree where it can be, so that trees share what they compile.
  set(header ${CMAKE_CURRENT_SOURCE_DIR}/model.h)
  cmake_path(IS_PREFIX PROJECT_SOURCE_DIR ${header} inside)
  if(inside)
    file(RELATIVE_PATH header ${PROJECT_SOURCE_DIR} ${header})
  endif()
  if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/dra.h)
    cmake_path(REPLACE_FILENAME header dra.h OUTPUT_VARIABLE dra_header)
    set_property(GLOBAL APPEND_STRING PROPERTY MIMIC_DRA_INCLUDES "#include \"${dra_header}\"\n")
    set_property(GLOBAL APPEND_STRING PROPERTY MIMIC_DRA_LIST "    &${arg_NAMESPACE}::kDra,\n")
  endif()
  set_property(GLOBAL APPEND_STRING PROPERTY MIMIC_MODEL_INCLUDES "#include \"${header}\"\n")
  set_property(GLOBAL APPEND_STRING PROPERTY MIMIC_MODEL_LIST "    &${arg_NAMESPACE}::kModel,\n")
  if(NOT arg_MODEL_ONLY)
    if(arg_VIRTIO)
      set(list MIMIC_VIRTIO_LIST)
      set(make make_device)
    else()
      set(list MIMIC_DEVICE_LIST)
      set(make make_function)
    endif()
    set_property(GLOBAL APPEND_STRING PROPERTY ${list} "    {&${arg_NAMESPACE}::kModel, &${arg_NAMESPACE}::${make}},\n")
    set_property(GLOBAL APPEND PROPERTY MIMIC_DEVICES mimic::${name})
  endif()
endfunction()

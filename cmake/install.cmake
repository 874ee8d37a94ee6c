# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` puts where:
#   include/mimic/{base,memory,reg,pci,virtio,sim,compute,vfio_user,virtio_pci,vhost_user}/*.h (devel)
#   lib/libmimic_*.a, lib/cmake/mimic, lib/pkgconfig/mimic.pc (devel)
#   include/mimic/*/testing/*.h (devel): a slot, memory and time for tests of devices
#   include/mimic/{host/*.h,trace/{event,file}.h}, lib/pkgconfig/mimic-host.pc (devel): what a program needs that serves
#   devices with the control API
#   include/mimic/replay/replay.h, lib/pkgconfig/mimic-replay.pc (devel): what a test needs that `mimic replay --to-test` wrote
#   bin/, libexec/mimic/{debs,setup,image} (runtime), share/man, completions of shells, units of
#   systemd, share/mimic/{kernel,guest,examples,grafana,deploy}, share/doc/mimic (data)

# The public libraries, lowest first: what a device outside this tree needs.
set(public_libraries base memory reg pci virtio sim sim_socket compute vfio_user virtio_pci vhost_user)

# --- devel ---------------------------------------------------------------------------------------------------------
set(MIMIC_PC_LIBS "")
foreach(library ${public_libraries})
  if(NOT TARGET mimic_${library})
    continue()
  endif()
  install(TARGETS mimic_${library} EXPORT mimicTargets
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT devel)
  get_target_property(folder mimic_${library} SOURCE_DIR)
  # Below its group, as an #include has it: src/lib/sim/socket is sim/socket.
  file(RELATIVE_PATH place ${PROJECT_SOURCE_DIR}/src ${folder})
  string(REGEX REPLACE "^[^/]+/(.*)$" "\\1" place ${place})
  install(DIRECTORY ${folder}/
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/mimic/${place} COMPONENT devel
    FILES_MATCHING PATTERN "*.h" PATTERN "test_*.h" EXCLUDE PATTERN "fake_mediator.h" EXCLUDE)
  get_target_property(type mimic_${library} TYPE)
  if(type STREQUAL STATIC_LIBRARY)
    # A linker reads static libraries once, left to right: dependants before what they need.
    string(PREPEND MIMIC_PC_LIBS "-lmimic_${library} ")
  endif()
endforeach()
string(STRIP "${MIMIC_PC_LIBS}" MIMIC_PC_LIBS)

# The components `host` and `replay`: libraries in the order in which a linker needs them, and headers. They need more of a
# machine than a device does (libcurl, libmicrohttpd; replay yaml-cpp, too), so they are asked for by name.
set(host_libraries host control service trace)
set(host_headers host/endpoint.h host/server.h host/stop_signals.h trace/event.h trace/file.h)
get_property(devices GLOBAL PROPERTY MIMIC_INSTALLED_DEVICES)
if(NOT devices)
  get_property(devices GLOBAL PROPERTY MIMIC_DEVICES)
endif()
get_property(model_libraries GLOBAL PROPERTY MIMIC_MODEL_LIBRARIES)
list(TRANSFORM devices REPLACE "^mimic::" "")
list(TRANSFORM model_libraries REPLACE "^mimic::" "")
set(replay_libraries replay device_host topology yaml all_devices all_models ${devices} ${model_libraries} vmd model)
set(replay_headers replay/replay.h)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/mimic)
install(EXPORT mimicTargets NAMESPACE mimic:: DESTINATION ${package_dir} COMPONENT devel)

# install_component(NAME EXPORT)   The libraries and headers of NAME_libraries and NAME_headers, if all of them are built.
# Sets MIMIC_<NAME>_PC_LIBS, empty if not.
function(install_component name export)
  set(libs "")
  foreach(library ${${name}_libraries})
    if(NOT TARGET mimic_${library})
      return()
    endif()
    string(APPEND libs "-lmimic_${library} ")
  endforeach()
  foreach(library ${${name}_libraries})
    install(TARGETS mimic_${library} EXPORT ${export} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT devel)
  endforeach()
  install(EXPORT ${export} NAMESPACE mimic:: DESTINATION ${package_dir} COMPONENT devel)
  foreach(header ${${name}_headers})
    get_filename_component(folder ${header} DIRECTORY)
    get_target_property(source mimic_${folder} SOURCE_DIR)
    get_filename_component(file ${header} NAME)
    install(FILES ${source}/${file} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/mimic/${folder} COMPONENT devel)
  endforeach()
  string(STRIP "${libs}" libs)
  string(TOUPPER ${name} upper)
  set(MIMIC_${upper}_PC_LIBS "${libs}" PARENT_SCOPE)
endfunction()
set(MIMIC_HOST_PC_LIBS "")
set(MIMIC_REPLAY_PC_LIBS "")
install_component(host mimicHostTargets)
if(MIMIC_HOST_PC_LIBS)
  install_component(replay mimicReplayTargets)
endif()
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/mimicConfig.cmake.in
  ${PROJECT_BINARY_DIR}/mimicConfig.cmake INSTALL_DESTINATION ${package_dir} NO_SET_AND_CHECK_MACRO)
# Before 1.0 any minor version may change the interface.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/mimicConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/mimicConfig.cmake ${PROJECT_BINARY_DIR}/mimicConfigVersion.cmake
  DESTINATION ${package_dir} COMPONENT devel)

# The prefix is found from the place of the .pc file, so that an installed tree may be moved.
file(RELATIVE_PATH MIMIC_PC_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" MIMIC_PC_PREFIX "${MIMIC_PC_PREFIX}")
set(pc_files mimic)
if(MIMIC_HOST_PC_LIBS)
  list(APPEND pc_files mimic-host)
endif()
if(MIMIC_REPLAY_PC_LIBS)
  list(APPEND pc_files mimic-replay)
endif()
foreach(pc ${pc_files})
  configure_file(${PROJECT_SOURCE_DIR}/cmake/${pc}.pc.in ${PROJECT_BINARY_DIR}/${pc}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${pc}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT devel)
endforeach()

# --- runtime -------------------------------------------------------------------------------------------------------
# OPTIONAL: who builds only some targets installs only these; `installed` builds all, and no test.
set(installed_targets "")
set(with_pages "")
foreach(program mimic mimic-dra mimic-mediator mimic-mediator-load mimic-sim mock-accel-server)
  if(TARGET ${program})
    install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT runtime OPTIONAL)
    list(APPEND installed_targets ${program})
    if(NOT program STREQUAL mock-accel-server)
      list(APPEND with_pages $<TARGET_FILE:${program}>)
    endif()
  endif()
endforeach()
foreach(library ${public_libraries} ${host_libraries} ${replay_libraries})
  if(TARGET mimic_${library})
    list(APPEND installed_targets mimic_${library})
  endif()
endforeach()
add_custom_target(installed DEPENDS ${installed_targets})
install(PROGRAMS ${PROJECT_SOURCE_DIR}/tools/debs ${PROJECT_SOURCE_DIR}/tools/setup ${PROJECT_SOURCE_DIR}/tools/image
  DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/mimic COMPONENT runtime)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/tools/lib
  DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/mimic COMPONENT runtime FILES_MATCHING PATTERN "*.sh")

# --- data ----------------------------------------------------------------------------------------------------------
# Manual pages: each program writes its own, of the commands that it has.
install(CODE "
  foreach(program ${with_pages})
    if(EXISTS \"\${program}\")
      set(pages \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_MANDIR}/man8\")
      if(program MATCHES \"/mimic\$\")
        set(pages \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_MANDIR}/man1\")
      endif()
      file(MAKE_DIRECTORY \"\${pages}\")
      execute_process(COMMAND \"\${program}\" __reference man \"\${pages}\" COMMAND_ERROR_IS_FATAL ANY)
    endif()
  endforeach()
" COMPONENT data)
# One of a program without commands: its --help as it is, which groff prints unchanged where no line begins with . or '.
if(TARGET mock-accel-server)
  install(CODE "
    if(EXISTS \"$<TARGET_FILE:mock-accel-server>\")
      execute_process(COMMAND \"$<TARGET_FILE:mock-accel-server>\" --help OUTPUT_VARIABLE help COMMAND_ERROR_IS_FATAL ANY)
      string(REPLACE \"-\" \"\\\\-\" help \"\${help}\")
      file(WRITE \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_MANDIR}/man8/mock-accel-server.8\"
        \".TH MOCK\\\\-ACCEL\\\\-SERVER 8 \\\"\\\" \\\"mimic ${PROJECT_VERSION}\\\"\\n\"
        \".SH NAME\\nmock\\\\-accel\\\\-server \\\\- serve one mock accelerator on a vfio\\\\-user socket\\n\"
        \".SH DESCRIPTION\\n.nf\\n\${help}.fi\\n.SH SEE ALSO\\n.BR mimic\\\\-serve (1)\\n\")
    endif()
  " COMPONENT data)
endif()
set(completions ${PROJECT_SOURCE_DIR}/integrations/completions)
install(FILES ${completions}/mimic.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME mimic COMPONENT data)
install(FILES ${completions}/_mimic DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions COMPONENT data)
install(FILES ${completions}/mimic.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d COMPONENT data)
# Links that lead out of what is installed, to what a module or a guest's program shares with the host's side, are installed as files.
file(GLOB outward RELATIVE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/kernel/*/* ${PROJECT_SOURCE_DIR}/guest/*/*)
set(left_out "")
foreach(file ${outward})
  if(NOT IS_SYMLINK ${PROJECT_SOURCE_DIR}/${file})
    continue()
  endif()
  file(REAL_PATH ${PROJECT_SOURCE_DIR}/${file} target)
  if(target MATCHES "^${PROJECT_SOURCE_DIR}/(kernel|guest)/")
    continue()
  endif()
  get_filename_component(name ${file} NAME)
  get_filename_component(folder ${file} DIRECTORY)
  list(APPEND left_out PATTERN ${name} EXCLUDE)
  install(FILES ${target} DESTINATION ${CMAKE_INSTALL_DATADIR}/mimic/${folder} RENAME ${name} COMPONENT data)
endforeach()
foreach(folder kernel guest examples)
  if(EXISTS ${PROJECT_SOURCE_DIR}/${folder})
    # Sources only: a developer's tree may hold what kbuild and the compiler left there.
    install(DIRECTORY ${PROJECT_SOURCE_DIR}/${folder} DESTINATION ${CMAKE_INSTALL_DATADIR}/mimic COMPONENT data
      USE_SOURCE_PERMISSIONS
      ${left_out} PATTERN "*.ko" EXCLUDE PATTERN "*.o" EXCLUDE PATTERN "*.a" EXCLUDE PATTERN "*.mod" EXCLUDE
      PATTERN "*.mod.c" EXCLUDE PATTERN ".*.cmd" EXCLUDE PATTERN "Module.symvers" EXCLUDE
      PATTERN "modules.order" EXCLUDE PATTERN ".tmp_*" EXCLUDE PATTERN ".gitignore" EXCLUDE
      PATTERN "__pycache__" EXCLUDE)
  endif()
endforeach()
set(units ${PROJECT_SOURCE_DIR}/integrations/systemd)
install(FILES ${units}/user/mimic-api.service ${units}/user/mimic-serve@.service DESTINATION lib/systemd/user COMPONENT data)
install(FILES ${units}/mimic-serve@.service DESTINATION lib/systemd/system COMPONENT data)
# Where examples/simulators looks for Python; packages for tests in both languages.
install(DIRECTORY ${PROJECT_SOURCE_DIR}/integrations/python ${PROJECT_SOURCE_DIR}/integrations/go
  DESTINATION ${CMAKE_INSTALL_DATADIR}/mimic/integrations COMPONENT data
  PATTERN "__pycache__" EXCLUDE PATTERN "CMakeLists.txt" EXCLUDE PATTERN "python/tests" EXCLUDE PATTERN "*_test.go" EXCLUDE
  PATTERN "go_test.sh" EXCLUDE PATTERN ".*_cache" EXCLUDE PATTERN "*.egg-info" EXCLUDE)
# The pages that `mimic --help` names, and what they show. Their links to the sources lead nowhere there.
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE ${PROJECT_SOURCE_DIR}/README.md ${PROJECT_SOURCE_DIR}/CHANGELOG.md
  DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT data)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/docs DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT data
  PATTERN "*.py" EXCLUDE PATTERN "CMakeLists.txt" EXCLUDE PATTERN "__pycache__" EXCLUDE)
install(FILES ${PROJECT_SOURCE_DIR}/docs/add-a-device/CMakeLists.txt
  DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs/add-a-device COMPONENT data)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/deploy/grafana DESTINATION ${CMAKE_INSTALL_DATADIR}/mimic COMPONENT data)
# The chart, what is rendered from it, and KMM's modules; images are made from sources or by libexec/mimic/image.
foreach(folder helm manifests kmm)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/deploy/${folder} DESTINATION ${CMAKE_INSTALL_DATADIR}/mimic/deploy COMPONENT data
    USE_SOURCE_PERMISSIONS PATTERN "render" EXCLUDE PATTERN "Containerfile" EXCLUDE)
endforeach()

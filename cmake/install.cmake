# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` puts where:
#   include/mimic/{base,reg,pci,vfio_user}/*.h, lib/libmimic_*.a, lib/cmake/mimic, lib/pkgconfig/mimic.pc (devel)
#   bin/, libexec/mimic/debs (runtime), share/mimic/{kernel,guest,examples} (data)

# The public libraries, lowest first: what a device outside this tree needs.
set(public_libraries base reg pci vfio_user)

# --- devel ---------------------------------------------------------------------------------------------------------
set(MIMIC_PC_LIBS "")
foreach(library ${public_libraries})
  if(NOT TARGET mimic_${library})
    continue()
  endif()
  install(TARGETS mimic_${library} EXPORT mimicTargets
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT devel)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/src/${library}/
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/mimic/${library} COMPONENT devel
    FILES_MATCHING PATTERN "*.h" PATTERN "test_*.h" EXCLUDE)
  get_target_property(type mimic_${library} TYPE)
  if(type STREQUAL STATIC_LIBRARY)
    # A linker reads static libraries once, left to right: dependants before what they need.
    string(PREPEND MIMIC_PC_LIBS "-lmimic_${library} ")
  endif()
endforeach()
string(STRIP "${MIMIC_PC_LIBS}" MIMIC_PC_LIBS)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/mimic)
install(EXPORT mimicTargets NAMESPACE mimic:: DESTINATION ${package_dir} COMPONENT devel)
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/mimicConfig.cmake.in
  ${PROJECT_BINARY_DIR}/mimicConfig.cmake INSTALL_DESTINATION ${package_dir} NO_SET_AND_CHECK_MACRO)
# Before 1.0 any minor version may change the interface.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/mimicConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/mimicConfig.cmake ${PROJECT_BINARY_DIR}/mimicConfigVersion.cmake
  DESTINATION ${package_dir} COMPONENT devel)

# The prefix is found from the place of the .pc file, so that an installed tree may be moved.
file(RELATIVE_PATH MIMIC_PC_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" MIMIC_PC_PREFIX "${MIMIC_PC_PREFIX}")
configure_file(${PROJECT_SOURCE_DIR}/cmake/mimic.pc.in ${PROJECT_BINARY_DIR}/mimic.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/mimic.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT devel)

# --- runtime -------------------------------------------------------------------------------------------------------
foreach(program mimic mock-accel-server)
  if(TARGET ${program})
    install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT runtime)
  endif()
endforeach()
install(PROGRAMS ${PROJECT_SOURCE_DIR}/tools/debs ${PROJECT_SOURCE_DIR}/tools/setup
  DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/mimic COMPONENT runtime)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/tools/lib
  DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/mimic COMPONENT runtime FILES_MATCHING PATTERN "*.sh")

# --- data ----------------------------------------------------------------------------------------------------------
foreach(folder kernel guest examples)
  if(EXISTS ${PROJECT_SOURCE_DIR}/${folder})
    # Sources only: a developer's tree may hold what kbuild and the compiler left there.
    install(DIRECTORY ${PROJECT_SOURCE_DIR}/${folder} DESTINATION ${CMAKE_INSTALL_DATADIR}/mimic COMPONENT data
      USE_SOURCE_PERMISSIONS
      PATTERN "*.ko" EXCLUDE PATTERN "*.o" EXCLUDE PATTERN "*.a" EXCLUDE PATTERN "*.mod" EXCLUDE
      PATTERN "*.mod.c" EXCLUDE PATTERN ".*.cmd" EXCLUDE PATTERN "Module.symvers" EXCLUDE
      PATTERN "modules.order" EXCLUDE PATTERN ".tmp_*" EXCLUDE PATTERN "__pycache__" EXCLUDE)
  endif()
endforeach()
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT data)

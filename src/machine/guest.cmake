# SPDX-License-Identifier: Apache-2.0
# The guest's side of src/machine: images, agent, verify. Included by CMakeLists.txt.
find_package(LibArchive REQUIRED)
find_package(nlohmann_json REQUIRED)

mimic_library(guest
  SOURCES progress.cpp
  PUBLIC mimic::base mimic::topology
  PRIVATE LibArchive::LibArchive nlohmann_json::nlohmann_json)
# Where the project's own scripts and sources are when it runs from its build tree; install.cmake adds libexec.
target_compile_definitions(mimic_guest PRIVATE
  MIMIC_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
  MIMIC_LIBEXEC_DIR="${CMAKE_INSTALL_FULL_LIBEXECDIR}/mimic")

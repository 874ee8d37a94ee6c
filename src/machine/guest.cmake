# SPDX-License-Identifier: Apache-2.0
# The guest's side of src/machine: images, agent, verify. Included by CMakeLists.txt.
find_package(LibArchive REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(nlohmann_json REQUIRED)

mimic_library(guest
  SOURCES
    agent_channel.cpp base64.cpp cache_file.cpp cloud_init.cpp guest_agent.cpp guest_commands.cpp
    guest_copy.cpp guest_image.cpp host_tool.cpp initramfs.cpp kernel_files.cpp progress.cpp
    support_files.cpp verify.cpp verify_checks.cpp verify_fabric.cpp verify_probe.cpp
    verify_replica.cpp
  PUBLIC mimic::base mimic::topology
  PRIVATE LibArchive::LibArchive OpenSSL::Crypto nlohmann_json::nlohmann_json)
# The source tree that a program in a build folder takes scripts and sources from.
target_compile_definitions(mimic_guest PRIVATE MIMIC_SOURCE_DIR="${PROJECT_SOURCE_DIR}")

mimic_test(guest_test
  SOURCES cloud_init_test.cpp guest_agent_test.cpp initramfs_test.cpp verify_fabric_test.cpp
    verify_test.cpp
  LIBS mimic::guest mimic::topology LibArchive::LibArchive nlohmann_json::nlohmann_json)
if(TARGET guest_test)
  target_compile_definitions(guest_test PRIVATE MIMIC_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
endif()

# SPDX-License-Identifier: Apache-2.0
# Finds SystemC (libsystemc-dev) for integrations/systemc and the comparison in bench/: mimic::systemc, where it is there.
find_path(MIMIC_SYSTEMC_INCLUDE systemc)
find_library(MIMIC_SYSTEMC_LIBRARY systemc)
mark_as_advanced(MIMIC_SYSTEMC_INCLUDE MIMIC_SYSTEMC_LIBRARY)
if(MIMIC_SYSTEMC_INCLUDE AND MIMIC_SYSTEMC_LIBRARY)
  add_library(mimic_systemc INTERFACE)
  add_library(mimic::systemc ALIAS mimic_systemc)
  target_include_directories(mimic_systemc SYSTEM INTERFACE ${MIMIC_SYSTEMC_INCLUDE})
  target_link_libraries(mimic_systemc INTERFACE ${MIMIC_SYSTEMC_LIBRARY})
  # Debian builds both 2.3.4 and 3.0.1 as C++17, which the name of a function in the library says: C++20 alone does not link.
  target_compile_definitions(mimic_systemc INTERFACE SC_CPLUSPLUS=201703L)
else()
  set(missing "The SystemC adapter is not built: libsystemc-dev is missing (tools/setup test installs it)")
  if(DEFINED ENV{CI})
    message(FATAL_ERROR "${missing}")
  endif()
  message(STATUS "${missing}")
endif()

# SPDX-License-Identifier: Apache-2.0
# mimic::instruments: commands that look at running machines over the control API, or serve it. ncurses knows terminals.
find_package(PkgConfig REQUIRED)
pkg_check_modules(ncursesw REQUIRED IMPORTED_TARGET ncursesw)
mimic_library(instruments
  SOURCES api_gate.cpp register_dump.cpp regs.cpp screen.cpp serve_api.cpp terminal_text.cpp top.cpp top_model.cpp
  PUBLIC mimic::base mimic::machine mimic::web nlohmann_json::nlohmann_json
  PRIVATE PkgConfig::ncursesw)
mimic_test(instruments_test
  SOURCES api_gate_test.cpp register_dump_test.cpp screen_test.cpp terminal_text_test.cpp top_model_test.cpp
  LIBS mimic::instruments nlohmann_json::nlohmann_json)

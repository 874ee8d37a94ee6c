# SPDX-License-Identifier: Apache-2.0
# cmake -DCXX=... -DSOURCE_DIR=... -P: compiles compile_fail_test.cpp once without a mistake, then with each; every
# mistake must be refused, and with the message that tells its author what is wrong.
set(cases
  "1|misaligned" "2|order" "3|field overlap" "4|has no field of this name"
  "5|Declare .hooks = kWrite" "6|map has no such register" "7|field reset" "8|prose" "9|bar"
  "10|order" "11|Declare .hooks = kRead")
set(failures 0)

function(compile case result_var output_var)
  execute_process(
    COMMAND ${CXX} -std=c++20 -fsyntax-only -DMIMIC_CASE=${case} -I${SOURCE_DIR}/src/lib
            ${SOURCE_DIR}/src/lib/reg/compile_fail_test.cpp
    RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  set(${result_var} ${result} PARENT_SCOPE)
  set(${output_var} "${output}" PARENT_SCOPE)
endfunction()

compile(0 result output)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "The variant without a mistake does not compile:\n${output}")
endif()
foreach(entry IN LISTS cases)
  string(REPLACE "|" ";" entry "${entry}")
  list(GET entry 0 case)
  list(GET entry 1 wanted)
  compile(${case} result output)
  string(FIND "${output}" "${wanted}" found)
  if(result EQUAL 0)
    message(SEND_ERROR "Case ${case} (${wanted}) compiles")
  elseif(found EQUAL -1)
    message(SEND_ERROR "Case ${case} fails without saying '${wanted}':\n${output}")
  endif()
endforeach()

# Read by ctest itself: one test for each suite of a gtest program, instead of one for each case. A program with a
# sanitizer takes long to start; what fails is named in the suite's output.
#
#   program     the program
#   folder      where it runs
#   properties  of each of these tests
if(NOT EXISTS ${program})
  get_filename_component(name ${program} NAME)
  add_test(${name}_NOT_BUILT ${name}_NOT_BUILT)
  return()
endif()
execute_process(COMMAND ${program} --gtest_list_tests OUTPUT_VARIABLE listed RESULT_VARIABLE result TIMEOUT 60)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "${program} --gtest_list_tests ends with ${result}")
endif()
string(REGEX MATCHALL "(^|\n)[^ \n]+\\." suites "${listed}")
list(TRANSFORM suites STRIP)
# A main function of gtest's says where it comes from, in a line of its own.
list(FILTER suites INCLUDE REGEX "^[A-Za-z0-9_/]+\\.$")
foreach(suite IN LISTS suites)
  string(REGEX REPLACE "\\.$" "" suite ${suite})
  add_test(${suite} ${program} "--gtest_filter=${suite}.*")
  set_tests_properties(${suite} PROPERTIES WORKING_DIRECTORY ${folder} ${properties})
endforeach()

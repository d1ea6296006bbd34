# weft_page_program(<name> <page> <proto>): docs/examples/<name> with its main.cc and .proto file, and the tests that hold
# it to the page: the page's code is the program's, and the page's last block is what it prints.
function(weft_page_program name page proto)
  set(checker ${PROJECT_SOURCE_DIR}/docs/examples/checks/tutorial.py)
  add_executable(tutorial_${name} main.cc)
  weft_generate(tutorial_${name} ${proto})
  weft_runtime_options(tutorial_${name})
  if(WEFT_TESTS)
    find_package(Python3 REQUIRED COMPONENTS Interpreter)
    add_test(NAME docs_tutorial_${name}_text COMMAND ${Python3_EXECUTABLE} -B ${checker} check ${page}
                                                     ${CMAKE_CURRENT_SOURCE_DIR})
    add_test(NAME docs_tutorial_${name}_runs COMMAND ${Python3_EXECUTABLE} -B ${checker} run ${page}
                                                     $<TARGET_FILE:tutorial_${name}>)
    set_tests_properties(docs_tutorial_${name}_text docs_tutorial_${name}_runs PROPERTIES TIMEOUT 60)
  endif()
endfunction()

# weft_tutorial(<name> <proto>): the same for docs/tutorial/<name>.md.
function(weft_tutorial name proto)
  weft_page_program(${name} ${PROJECT_SOURCE_DIR}/docs/tutorial/${name}.md ${proto})
endfunction()

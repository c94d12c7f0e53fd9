# Fails if one of OBJECTS defines a symbol that another object may define too. The linker keeps one copy of such a
# function for the whole library, perhaps one with instructions this processor lacks.
foreach(object IN LISTS OBJECTS)
  execute_process(COMMAND ${NM} ${object} OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCHALL "[^\n]* [WVu] [^\n]*" shared "${symbols}")
  if(shared)
    list(JOIN shared "\n  " shared)
    message(FATAL_ERROR "${object} shares symbols with other objects:\n  ${shared}")
  endif()
endforeach()

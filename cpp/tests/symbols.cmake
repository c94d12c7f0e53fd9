# Fails if OBJECT defines a symbol that another object may define too and that is not inside NAMESPACE. The linker
# keeps one copy of such a function for the whole library, perhaps one with instructions this processor lacks.
execute_process(COMMAND ${NM} ${OBJECT} OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[^\n]* [WVu] [^\n]*" shared "${symbols}")
list(FILTER shared EXCLUDE REGEX "${NAMESPACE}")
if(shared)
  list(JOIN shared "\n  " shared)
  message(FATAL_ERROR "${OBJECT} shares symbols with other objects:\n  ${shared}")
endif()

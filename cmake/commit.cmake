# The commit that the sources stand at, for what the program writes down: a file commit.cpp that is looked at in every
# build and changes only where the commit does, so that nothing else is compiled anew. Empty where git cannot say.
if(CMAKE_SCRIPT_MODE_FILE)
  cmake_minimum_required(VERSION 3.25)
  execute_process(COMMAND git -C ${SOURCE} rev-parse --show-prefix OUTPUT_VARIABLE within ERROR_QUIET
                  OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE outside)
  set(commit "")
  if(outside EQUAL 0 AND within STREQUAL "")  # not somebody else's repository around these sources
    execute_process(COMMAND git --no-optional-locks -C ${SOURCE} describe --always --dirty=+ --exclude=* --abbrev=12
                    OUTPUT_VARIABLE commit ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
  endif()
  file(CONFIGURE OUTPUT ${OUTPUT} CONTENT "// This file is made by cmake/commit.cmake.
namespace longstride::program {
extern const char* const kCommit;
const char* const kCommit = \"@commit@\";
}  // namespace longstride::program
" @ONLY)
else()
  add_custom_target(commit COMMAND ${CMAKE_COMMAND} -DSOURCE=${PROJECT_SOURCE_DIR} -DOUTPUT=${PROJECT_BINARY_DIR}/commit.cpp
                    -P ${CMAKE_CURRENT_LIST_FILE} BYPRODUCTS ${PROJECT_BINARY_DIR}/commit.cpp)
endif()

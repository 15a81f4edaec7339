# tessera_room(<name> [USES <room>...] [LINKS <target>...]): the static library of one room.
# USES are the rooms it may include from (tests/tidy checks the arrows); LINKS are third-party.
function(tessera_room name)
  cmake_parse_arguments(ROOM "" "" "USES;LINKS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "/main\\.cpp$")
  add_library(tessera_${name} STATIC ${sources})
  list(TRANSFORM ROOM_USES PREPEND tessera_)
  target_link_libraries(tessera_${name} PUBLIC tessera_flags ${ROOM_USES} PRIVATE ${ROOM_LINKS})
endfunction()

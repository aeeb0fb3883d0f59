# What `cmake --install` lays down, in three components: the program with its manual page and completions, the shared
# library, and what one builds with. All of it may be moved afterwards. cmake/packages.cmake makes packages of them.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(LONGSTRIDE_ZSH_COMPLETIONS ${CMAKE_INSTALL_DATADIR}/zsh/site-functions CACHE STRING "Where zsh looks for completions")

# The manual page and the completions, written by a program that asks the commands for their options.
file(GLOB manual_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/apps/manual/*.cpp)
add_executable(longstride-manual EXCLUDE_FROM_ALL ${manual_sources})
target_include_directories(longstride-manual PRIVATE ${PROJECT_SOURCE_DIR}/apps/longstride)
target_link_libraries(longstride-manual PRIVATE longstride_commands)
set(manual ${PROJECT_BINARY_DIR}/manual)
file(MAKE_DIRECTORY ${manual})
set(pages ${manual}/longstride.1 ${manual}/longstride ${manual}/_longstride ${manual}/longstride.fish)
add_custom_command(OUTPUT ${pages} ${manual}/longstride.1.gz DEPENDS longstride-manual
                   COMMAND longstride-manual ${manual}
                   COMMAND gzip -9nkf ${manual}/longstride.1)  # no time and no name in it: the same text, the same bytes
add_custom_target(installable ALL SOURCES ${pages})
add_dependencies(installable longstride-program longstride_shared longstride_static)
install(FILES ${manual}/longstride.1.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT program)
install(FILES ${manual}/longstride DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions COMPONENT program)
install(FILES ${manual}/_longstride DESTINATION ${LONGSTRIDE_ZSH_COMPLETIONS} COMPONENT program)
install(FILES ${manual}/longstride.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d COMPONENT program)

file(RELATIVE_PATH library_from_program /${CMAKE_INSTALL_BINDIR} /${CMAKE_INSTALL_LIBDIR})
set_target_properties(longstride-program PROPERTIES INSTALL_RPATH "$<$<BOOL:${BUILD_SHARED_LIBS}>:$ORIGIN/${library_from_program}>")
install(TARGETS longstride-program RUNTIME COMPONENT program)

set(config ${CMAKE_INSTALL_LIBDIR}/cmake/longstride)
set_target_properties(longstride_shared PROPERTIES EXPORT_NAME longstride)
set_target_properties(longstride_static PROPERTIES EXPORT_NAME static)
install(TARGETS longstride_shared EXPORT shared LIBRARY COMPONENT library NAMELINK_COMPONENT development
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS longstride_static EXPORT static ARCHIVE COMPONENT development
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY include/longstride TYPE INCLUDE COMPONENT development)
install(EXPORT shared NAMESPACE longstride:: FILE longstride-shared.cmake DESTINATION ${config} COMPONENT development)
install(EXPORT static NAMESPACE longstride:: FILE longstride-static.cmake DESTINATION ${config} COMPONENT development)

# What the static library leaves to whoever links it: packages of CMake, libraries by name (a target NAME::NAME is made
# of each, as cmake/dependencies.cmake makes it), and what the compiler's own folders hold. pkg-config is told the names,
# not the packages: those would ask for what a static libsndfile needs.
set(static_libraries "\"DNNL::dnnl dnnl\" \"NETTLE::NETTLE nettle\"")
set(static_links fmt::fmt PNG::PNG NETTLE::NETTLE DNNL::dnnl)
set(static_flags -lfmt -lpng -lnettle -ldnnl)
foreach(optional "JPEGLIB jpeg" "SNDFILE sndfile" "SOXR soxr")
  separate_arguments(optional)
  list(POP_FRONT optional name library)
  if(TARGET ${name}::${name})
    string(APPEND static_libraries " \"${name}::${name} ${library}\"")
    list(APPEND static_links ${name}::${name})
    list(APPEND static_flags -l${library})
  endif()
endforeach()
if(LONGSTRIDE_HAS_CUDA)
  list(APPEND static_links CUDA::cublasLt CUDA::cudart_static)
  list(APPEND static_flags -L${CUDAToolkit_LIBRARY_DIR} -lcublasLt -lcudart_static -ldl -lrt)
endif()
set(compiler_libraries ${OpenMP_CXX_LIB_NAMES})
if(TARGET longstride::mpi)
  list(APPEND compiler_libraries ${MPI_CXX_LIB_NAMES})
endif()
foreach(library ${compiler_libraries})
  list(APPEND static_links ${library})
  list(APPEND static_flags -l${library})
endforeach()
target_link_libraries(longstride_static INTERFACE "$<INSTALL_INTERFACE:${static_links}>")
list(JOIN static_flags " " static_flags)

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/longstride-config.cmake.in longstride-config.cmake
                              INSTALL_DESTINATION ${config})
write_basic_package_version_file(longstride-config-version.cmake COMPATIBILITY SameMinorVersion)
file(RELATIVE_PATH prefix_from_pc /${CMAKE_INSTALL_LIBDIR}/pkgconfig /.)
string(REGEX REPLACE "/$" "" prefix_from_pc ${prefix_from_pc})
configure_file(${PROJECT_SOURCE_DIR}/cmake/longstride.pc.in longstride.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/longstride-config.cmake ${PROJECT_BINARY_DIR}/longstride-config-version.cmake
        DESTINATION ${config} COMPONENT development)
install(FILES ${PROJECT_BINARY_DIR}/longstride.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)

include(packages)

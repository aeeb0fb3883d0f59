# Packages of Debian, a component each: longstride, liblongstride0 and liblongstride-dev. tools/packages builds and tries
# them; it says the folders that Debian has.
set(LONGSTRIDE_MAINTAINER "longstride developers <nobody@longstride.invalid>" CACHE STRING "Who answers for the packages")
set(package_version ${PROJECT_VERSION}-1)
string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC)  # SOURCE_DATE_EPOCH, where it is set
configure_file(${PROJECT_SOURCE_DIR}/cmake/debian/changelog.in ${manual}/changelog.Debian @ONLY)

set(name_program longstride)
set(name_library liblongstride${LONGSTRIDE_SOVERSION})
set(name_development liblongstride-dev)
set(section_program science)
set(section_library libs)
set(section_development libdevel)
set(about_program "Sparse Transformers that learn text, pictures and sound
It trains autoregressive models of bytes on an ordinary processor, measures
them in bits per byte and lets them make samples. Attention follows factorised
patterns, so that work and memory grow with n sqrt(n).")
set(about_library "Sparse Transformers over bytes - shared library
Training, evaluation, sampling and the sparse attention of longstride, for
programs that were built against it.")
set(about_development "Sparse Transformers over bytes - development files
Headers, the static library and what CMake and pkg-config read, for building
programs with the library of longstride.")

set(CPACK_GENERATOR DEB)
set(CPACK_COMPONENTS_ALL program library development)
set(CPACK_PACKAGE_NAME longstride)
set(CPACK_PACKAGE_CONTACT ${LONGSTRIDE_MAINTAINER})
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE
                                                WORLD_READ WORLD_EXECUTE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_ENABLE_COMPONENT_DEPENDS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${PROJECT_BINARY_DIR})
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")  # a later one runs what was built against an earlier one
set(CPACK_DEBIAN_LIBRARY_PACKAGE_CONTROL_EXTRA ${PROJECT_SOURCE_DIR}/cmake/debian/triggers)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "libdnnl-dev, libfmt-dev, libpng-dev, nettle-dev")
foreach(optional "JPEGLIB libjpeg-dev" "SNDFILE libsndfile1-dev" "SOXR libsoxr-dev")
  separate_arguments(optional)
  list(POP_FRONT optional name package)
  if(TARGET ${name}::${name})
    string(APPEND CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS ", ${package}")
  endif()
endforeach()
set(CPACK_COMPONENT_DEVELOPMENT_DEPENDS library)
if(BUILD_SHARED_LIBS)
  set(CPACK_COMPONENT_PROGRAM_DEPENDS library)
endif()

set(documents ${manual}/changelog.Debian.gz ${manual}/changelog.gz)
add_custom_command(OUTPUT ${documents} DEPENDS CHANGELOG.md ${manual}/changelog.Debian
                   WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
                   COMMAND ${CMAKE_COMMAND} -E copy CHANGELOG.md ${manual}/changelog
                   COMMAND gzip -9nkf ${manual}/changelog ${manual}/changelog.Debian)
target_sources(installable PRIVATE ${documents})
foreach(component ${CPACK_COMPONENTS_ALL})
  string(TOUPPER ${component} upper)
  set(CPACK_DEBIAN_${upper}_PACKAGE_NAME ${name_${component}})
  set(CPACK_DEBIAN_${upper}_PACKAGE_SECTION ${section_${component}})
  set(CPACK_DEBIAN_${upper}_DESCRIPTION ${about_${component}})
  set(documents_of ${CMAKE_INSTALL_DATADIR}/doc/${name_${component}})
  # Left out where all is installed at once: these are a package's.
  install(FILES ${PROJECT_SOURCE_DIR}/cmake/debian/copyright ${documents} DESTINATION ${documents_of}
          COMPONENT ${component} EXCLUDE_FROM_ALL)
endforeach()
include(CPack)

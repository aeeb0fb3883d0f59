// Which names the shared library offers: everything is compiled hidden but for what a public header declares, for each
// of them opens its namespace with LONGSTRIDE_PUBLIC. What a header only names and src/ defines is LONGSTRIDE_HIDDEN
// where it is defined.
#pragma once

#define LONGSTRIDE_PUBLIC __attribute__((visibility("default")))
#define LONGSTRIDE_HIDDEN __attribute__((visibility("hidden")))

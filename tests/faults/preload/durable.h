// What would survive a power cut at this moment: of a file the bytes that it had as it was last synced, of a folder the
// entries that it had as it was last synced. Kept in a folder of its own, by what things are rather than how they are
// named, since names change:
//
//   INODE.COUNT    bytes of a file; or of a folder a line an entry: "file", "folder" or "link", its INODE.COUNT or
//                  what the link names, and its name, by tabs
//
// COUNT tells things apart whose inode had the same number, one after the other.
#pragma once

namespace faults {

void keep_durable(const char* folder);
void made(const char* path);  // a new file or folder, empty on the disk so far
void synced(int descriptor);  // of a file or a folder

}  // namespace faults

# ARM64 Linux by the C++ compiler that the Python package ziglang holds, and by qemu, if it is there, to run it.
# musl links everything statically, so that qemu needs no ARM64 system beside it.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
find_program(PYTHON_WITH_ZIG NAMES python3 python REQUIRED)
set(CMAKE_CXX_COMPILER ${PYTHON_WITH_ZIG} -m ziglang c++ -target aarch64-linux-musl)
find_program(QEMU NAMES qemu-aarch64-static qemu-aarch64)
if(QEMU)
  set(CMAKE_CROSSCOMPILING_EMULATOR ${QEMU})
endif()

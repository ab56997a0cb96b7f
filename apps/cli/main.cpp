#include "apps/cli/program.hpp"

int main(int argc, char** argv) { return gliograd::cli::run_program(argc, argv); }

// What the comments of kernels/gpu claim about the machine code, held against the disassembly of
// the built library: no spilled registers, registers few enough for the blocks that are to run
// beside each other, accesses of 16 bytes, no contraction, no f64 where it is not meant.
#include <algorithm>
#include <functional>
#include <regex>
#include <set>

#include "tests/sass/disassembly.hpp"
#include "tests/support/support.hpp"

using namespace gliograd::test;

namespace {

// Null where there is no library or no cuobjdump: then every test here is skipped by name.
const Disassembly* disassembly(const char* test) {
  static const std::string library =
      std::filesystem::path(program_path()).parent_path() / "libgliograd_gpu.so";
  if (!std::filesystem::exists(library)) {
    skip(std::string("SASS: ") + test, "built without CUDA");
    return nullptr;
  }
  static const std::optional<std::string> tool = find_cuobjdump();
  if (!tool) {
    skip(std::string("SASS: ") + test, "there is no cuobjdump");
    return nullptr;
  }
  static const Disassembly all = disassemble(*tool, library);
  return &all;
}

bool matches(const std::string& text, const std::string& pattern) {
  return std::regex_match(text, std::regex(pattern));
}

// Kernels of a file whose name matches, in all architectures. There are some.
std::vector<KernelCode> kernels_of(const Disassembly& all, const std::string& file,
                                   const std::string& pattern) {
  std::vector<KernelCode> found;
  for (const KernelCode& kernel : all.code) {
    if (matches(kernel.file, file) && matches(kernel.name, pattern)) found.push_back(kernel);
  }
  CHECK_MESSAGE(!found.empty(), "no kernel ", pattern, " in ", file);
  return found;
}

bool is_half(const KernelCode& kernel) { return contains(kernel.name, "f16"); }  // bf16 too

}  // namespace

TEST_CASE("SASS: every kernel is there for each architecture, and as PTX for those to come") {
  const Disassembly* all = disassembly("every kernel is there");
  if (all == nullptr) return;
  std::map<std::string, std::set<std::string>> kernels;  // of each architecture
  for (const KernelCode& k : all->code) {
    CHECK_MESSAGE(!k.file.empty(), k.text());
    CHECK_MESSAGE(k.order.size() > 4, k.text());
    CHECK_MESSAGE(k.registers > 0, k.text());
    kernels[k.arch].insert(k.file + ": " + k.name);
  }
  std::set<std::string> ptx;
  for (const KernelPtx& k : all->ptx) ptx.insert(k.file + ": " + k.name);
  REQUIRE(kernels.size() == 2);
  CHECK(kernels["sm_80"].size() > 150);
  CHECK(kernels["sm_80"] == kernels["sm_90"]);
  CHECK(kernels["sm_80"] == ptx);
  // Newer than all machine code, and no newer than any GPU that has none.
  for (const std::string& arch : all->ptx_archs) CHECK(matches(arch, "sm_(90|100)"));
}

TEST_CASE("SASS: no kernel spills") {
  const Disassembly* all = disassembly("no kernel spills");
  if (all == nullptr) return;
  for (const KernelCode& k : all->code) {
    INFO(k.text());
    CHECK(k.stack_bytes == 0);
    CHECK(k.count("LDL") + k.count("STL") == 0);
  }
}

TEST_CASE("SASS: registers leave room for the blocks that are to run beside each other") {
  const Disassembly* all = disassembly("registers leave room");
  if (all == nullptr) return;
  // Of a multiprocessor's 65,536, given out to blocks of 256 threads by eights for each thread.
  const auto most = [](int blocks) { return 65536 / 256 / blocks / 8 * 8; };
  CHECK(most(3) == 80);
  struct Claim {
    const char *file, *kernel;
    int blocks;
  };
  for (const Claim& claim : {
           Claim{"augment", "images_kernel<b?f16>", 3},
           {"augment", "images_kernel<float>", 2},
           {"batch_norm", "(moments|sums|gradient)_kernel<.*>", 2},  // ChannelBlocks::kMostBlocks
           {"batch_norm", "apply_kernel<.*>", 4},
           {"concat", ".*", 6},
           {"conv_direct", ".*", 4},
           {"conv_depthwise", ".*", 4},
           {"linear_direct", ".*", 6},
           {"convert", ".*", 8},
           {"dropout", ".*", 8},
           {"elementwise", "sums_kernel<.*>", 8},
           {"elementwise", ".*", 6},
           {"optimizer", "(update|decide|swap)_kernel.*", 4},
           {"pool_average", ".*", 4},
           {"pool_max", "max_(values|gradients)_kernel<.*>", 3},
           {"pool_max", "max_tiles_kernel<2, .*>", 4},
           {"pool_max", "max_tiles_kernel<3, .*>", 2},  // four loads of a thread are under way
           {"softmax_cross_entropy", ".*", 4},
           {"upsample", ".*", 4},
           {"sigmoid_cross_entropy", ".*", 4},
       }) {
    for (const KernelCode& k : kernels_of(*all, claim.file, claim.kernel)) {
      INFO(k.text());
      CHECK(k.registers <= most(claim.blocks));
    }
  }
}

TEST_CASE("SASS: what is said to be 16 bytes an access is") {
  const Disassembly* all = disassembly("16 bytes an access");
  if (all == nullptr) return;
  // How many arrays of the element type a kernel reads and writes in a turn; arrays of f32 beside
  // them, of 8 values a turn, are two accesses each. A tail goes value by value where n need not be
  // a multiple, and so does the last block's sum over the others: narrow accesses are then in the
  // code, and wide ones too.
  struct Claim {
    const char *file, *kernel;
    int reads, writes, f32_reads, f32_writes;
    bool tail;
  };
  for (const Claim& claim : {
           Claim{"batch_norm", "moments_kernel<8, .*>", 4, 0, 0, 2, true},  // four rows at a time
           {"batch_norm", "apply_kernel<8, .*>", 2, 1, 4, 0, false},
           {"batch_norm", "sums_kernel<8, .*>", 3, 1, 4, 2, true},
           {"batch_norm", "gradient_kernel<8, .*>", 3, 1, 6, 0, false},
           {"pool_max", "max_values_kernel<2, 8, .*>", 4, 1, 0, 0, false},
           {"pool_max", "max_values_kernel<3, 8, .*>", 9, 1, 0, 0, false},
           {"pool_max", "max_gradients_kernel<8, .*>", 1, 1, 0, 0, false},
           {"pool_max", "max_tiles_kernel<2, 2, 8, .*>", 1, 4, 0, 0, false},
           {"pool_max", "max_tiles_kernel<3, 2, 8, .*>", 4, 4, 0, 0, false},
           {"pool_average", "average_values_kernel<., 8, .*>", 1, 1, 0, 0, false},
           {"pool_average", "average_gradients_kernel<8, .*>", 1, 1, 0, 0, false},
           {"pool_average", "global_values_kernel<8, .*>", 1, 1, 0, 0, false},
           {"pool_average", "global_gradients_kernel<8, .*>", 1, 1, 0, 0, false},
           {"upsample", "values_kernel<8, true, .*>", 4, 1, 0, 0, false},
           {"conv_depthwise", "(forward|data)_kernel<8, .*>", 1, 1, 0, 0, true},
           {"conv_depthwise", "partial_kernel<8, .*>", 2, 0, 0, 1, false},
           {"upsample", "values_kernel<8, false, .*>", 1, 1, 0, 0, false},
           {"upsample", "gradients_kernel<8, .*>", 1, 1, 0, 0, false},
           {"dropout", "values_kernel<2, .*>", 1, 1, 0, 0, false},
           {"softmax_cross_entropy", "values_kernel<8, .*>", 2, 1, 0, 0, false},
           {"softmax_cross_entropy", "gradients_kernel<8, .*>", 5, 1, 0, 0, false},
           {"dropout", "gradients_kernel<.*>", 1, 1, 0, 0, true},
           {"augment", "images_kernel<.*>", 0, 1, 0, 0, true},
       }) {
    for (const KernelCode& k : kernels_of(*all, claim.file, claim.kernel)) {
      const int each = is_half(k) ? 1 : 2;  // 8 values: 16 bytes, or 32 in f32
      INFO(k.text(), ": loads of 16 bytes ", k.loads(128), ", stores ", k.stores(128));
      CHECK(k.loads(128) >= each * claim.reads + 2 * claim.f32_reads);
      CHECK(k.stores(128) >= each * claim.writes + 2 * claim.f32_writes);
      // 64: a pointer, or 8 flags of a byte beside 8 values.
      if (!claim.tail) CHECK(k.loads(32) + k.loads(16) + k.loads(8) == 0);
      if (!claim.tail) CHECK(k.stores(32) + k.stores(16) + k.stores(8) == 0);
    }
  }
  // Four elements of f32 or eight of 16 bits a turn; then a tail.
  for (const char* pattern : {"values_kernel<.*>", "gradients_kernel<.*>", "sums_kernel<.*>",
                              "add_to_rows_kernel<[48], .*>"}) {
    for (const KernelCode& k : kernels_of(*all, "elementwise", pattern)) {
      INFO(k.text());
      CHECK(k.loads(128) >= (matches(pattern, "values.*") ? 1 : 2));
      CHECK(k.stores(128) >= 1);
      CHECK(k.loads(64) == 0);
    }
  }
  // Eight elements: 16 bytes on a 16-bit side, twice 16 on that of f32; added to, the target is
  // read too.
  for (const KernelCode& k : kernels_of(*all, "convert", "convert_kernel<.*>")) {
    INFO(k.text());
    const auto accesses = [](const std::string& type) { return type == "float" ? 2 : 1; };
    std::smatch part;
    REQUIRE(std::regex_match(k.name, part, std::regex("convert_kernel<(.*), (.*), (.*)>")));
    const int to = accesses(part[1]), from = accesses(part[2]);
    CHECK(k.loads(128) >= from + (part[3] == "true" ? to : 0));
    CHECK(k.stores(128) >= to);
    CHECK(k.loads(64) + k.stores(64) == 0);
  }
  // From f32, bf16 and f16 in turn, each read with what it is added to.
  for (const KernelCode& k : kernels_of(*all, "convert", "convert_many_kernel")) {
    INFO(k.text());
    CHECK(k.loads(128) >= (2 + 2) + 2 * (1 + 2));
    CHECK(k.stores(128) >= 3 * 2);
  }
  for (const KernelCode& k : kernels_of(*all, "concat", "concat_kernel<uint4, .*>")) {
    INFO(k.text());
    CHECK(k.loads(128) >= 1);
    CHECK(k.stores(128) >= 1);
    CHECK(k.stores(64) + k.stores(32) + k.stores(16) == 0);
  }
  // Weights, gradients and what is kept for them: f32, four a turn.
  for (const KernelCode& k : kernels_of(*all, "optimizer", "(update|decide|swap)_kernel.*")) {
    INFO(k.text());
    CHECK(k.loads(128) >= 1);
  }
}

TEST_CASE("SASS: loads that are said to be in flight together come before what waits for them") {
  const Disassembly* all = disassembly("loads in flight together");
  if (all == nullptr) return;
  for (const KernelCode& k : kernels_of(*all, "batch_norm", "moments_kernel<8, .*>")) {
    INFO(k.text());
    const auto is_load = [](const std::string& i) { return i.rfind("LDG.E.128", 0) == 0; };
    const auto first = std::find_if(k.order.begin(), k.order.end(), is_load);
    const auto last = std::find_if(k.order.rbegin(), k.order.rend(), is_load).base();
    REQUIRE(first < last);
    CHECK(std::none_of(first, last, [](const std::string& i) {
      return i.rfind("FADD", 0) == 0 || i.rfind("FFMA", 0) == 0;
    }));
    // The last block's: two numbers of eight blocks, before any is looked at.
    int together = 0, most = 0;
    for (const std::string& i : k.order) {
      if (i.rfind("LDG.E", 0) == 0 && !is_load(i)) most = std::max(most, ++together);
      if (i.rfind("F2F.F64", 0) == 0 || i.rfind("BAR", 0) == 0) together = 0;
    }
    CHECK(most >= 16);
  }
}

TEST_CASE("SASS: a ticket is taken behind a fence, and nothing is read before the next one") {
  const Disassembly* all = disassembly("fences around a ticket");
  if (all == nullptr) return;
  std::set<std::string> files;
  for (const KernelCode& k : all->code) {
    const auto starts = [](const char* what) {
      return [what](const std::string& i) { return i.rfind(what, 0) == 0; };
    };
    const auto ticket = std::find_if(k.order.begin(), k.order.end(), starts("ATOMG"));
    if (ticket == k.order.end()) continue;
    INFO(k.text());
    files.insert(k.file);
    const auto fence =
        std::find_if(std::make_reverse_iterator(ticket), k.order.rend(), starts("MEMBAR"));
    REQUIRE(fence != k.order.rend());
    CHECK(std::none_of(fence.base(), ticket, starts("ST")));
    // It also drops what the L1 holds.
    const auto second = std::find_if(ticket, k.order.end(), starts("CCTL.IVALL"));
    REQUIRE(second != k.order.end());
    CHECK(std::none_of(ticket, second, starts("LD")));
  }
  CHECK(files == std::set<std::string>{"batch_norm", "optimizer"});
}

TEST_CASE("SASS: a product and a sum are rounded apart, so that both devices have the same bits") {
  const Disassembly* all = disassembly("no contraction");
  if (all == nullptr) return;
  // In PTX a quotient and a root are one instruction, so that each fma is one that somebody wrote:
  // the expansions of exp, log and pow, which no op computes whose bits must agree.
  const std::string wrote = "elementwise|softmax_cross_entropy|sigmoid_cross_entropy|optimizer";
  for (const KernelPtx& k : all->ptx) {
    int contracted = 0;
    for (const auto& [name, n] : k.instructions) {
      if (name.rfind("fma.", 0) == 0 && name.find(".f") != std::string::npos) contracted += n;
    }
    INFO(k.file, ": ", k.name);
    CHECK((contracted == 0 || matches(k.file, wrote)));
  }
  // And the driver that compiles it is told so.
  for (const std::string& options : all->ptxas_options) CHECK(contains(options, "--fmad false"));
  // Without a quotient or a root, none is in the machine code either.
  int without = 0;
  for (const KernelCode& k : all->code) {
    if (k.count("MUFU") > 0) continue;
    INFO(k.text());
    CHECK(k.count("FFMA") == 0);
    ++without;
  }
  CHECK(without > 50);
}

TEST_CASE("SASS: arithmetic in f64 is only where sums are joined") {
  const Disassembly* all = disassembly("f64 only where sums are joined");
  if (all == nullptr) return;
  const std::set<std::string> joins = {"batch_norm: from_running_kernel",
                                       "conv_depthwise: join_kernel",
                                       "optimizer: decide_kernel",
                                       "sigmoid_cross_entropy: join_loss_kernel",
                                       "softmax_cross_entropy: join_loss_kernel",
                                       "step: end_batch_kernel"};
  for (const KernelCode& k : all->code) {
    const int f64 = k.count("DADD") + k.count("DMUL") + k.count("DFMA");
    INFO(k.text(), ": ", f64);
    // A loss: one value a row, and the block's sum. Batch norm: the last block joins all others'.
    const bool joins_here =
        joins.count(k.file + ": " + k.name) != 0 || matches(k.name, "loss_kernel.*") ||
        (k.file == "batch_norm" && matches(k.name, "(moments|sums)_kernel<.*>"));
    CHECK((f64 == 0) != joins_here);
  }
}

TEST_CASE("SASS: the augmentation is what the tour says") {
  const Disassembly* all = disassembly("the augmentation");
  if (all == nullptr) return;
  for (const KernelCode& k : kernels_of(*all, "augment", "images_kernel<b?f16>")) {
    INFO(k.text());
    CHECK(k.loads(8) == 9);        // four neighbors, for filters and for pixels; the mask
    CHECK(k.stores(128) == 1);     // a pixel of eight channels
    CHECK(k.order.size() < 6000);  // of which some 700 draw, once a block
  }
  // The table there, row by row.
  const std::string tour = read_file(source_path("TOUR.md"));
  if (!contains(tour, "nvcc " GLIOGRAD_NVCC_VERSION ",")) {
    return skip("SASS: the tour's table", "this library is made by nvcc " GLIOGRAD_NVCC_VERSION);
  }
  using Figure = std::function<size_t(const KernelCode&)>;
  const std::map<std::string, Figure> figures = {
      {"registers a thread", [](const KernelCode& k) { return k.registers; }},
      {"bytes of stack", [](const KernelCode& k) { return k.stack_bytes; }},
      {"loads of 1 byte", [](const KernelCode& k) { return k.loads(8); }},
      {"stores of 16 bytes", [](const KernelCode& k) { return k.stores(128); }},
      {"stores of 2 bytes", [](const KernelCode& k) { return k.stores(16); }},
      {"barriers", [](const KernelCode& k) { return k.count("BAR"); }},
      {"instructions", [](const KernelCode& k) { return k.order.size(); }}};
  int compared = 0;
  for (const KernelCode& k : kernels_of(*all, "augment", "images_kernel<bf16>")) {
    for (const auto& entry : figures) {
      const std::string& name = entry.first;
      INFO(k.text(), ": ", name);
      std::smatch row;
      const std::regex line("\\| " + name + " \\| ([0-9,]+) \\| ([0-9,]+) \\|");
      REQUIRE(std::regex_search(tour, row, line));
      std::string said = row[k.arch == "sm_80" ? 1 : 2];
      std::erase(said, ',');
      CHECK(std::to_string(entry.second(k)) == said);
      ++compared;
    }
  }
  CHECK(compared == 14);
}

TEST_CASE("SASS: the reader of disassemblies sees what is in them") {
  Disassembly all;
  const std::string kernel =
      "_ZN8gliograd7kernels49_GLOBAL__N__d4e0b0d5_10_augment_cu_b50c9609_2697813images_kernelINS_"
      "3f16EEEvNS0_12AugmentBatchEi";
  read_usage("arch = sm_90\n Function " + kernel +
                 ":\n  REG:64 STACK:56 SHARED:1392 LOCAL:8 CONSTANT[0]:740\n",
             all);
  read_code("arch = sm_90\n\t\tFunction : " + kernel +
                "\n        /*0000*/                   LDC R1, c[0x0][0x28] ;     /* 0x0000 */\n"
                "        /*0010*/              @!P0 LDG.E.128 R4, desc[UR4][R2.64] ;\n"
                "        /*0020*/                   STG.E.U16 desc[UR4][R2.64], R4 ;\n"
                "        /*0030*/                   STL.64 [R1], R24 ;\n"
                "        /*0040*/                   NOP;\n",
            all);
  read_ptx(
      "Fatbin elf code:\narch = sm_90\nFatbin ptx code:\narch = sm_100\n"
      "ptxasOptions =  --fmad false \n.entry " +
          kernel + "(\n)\n{\n@%p1 bra $L__1;\nfma.rn.f32 %f1, %f2, %f3, %f4;\n}\n",
      all);
  REQUIRE(all.code.size() == 1);
  const KernelCode& k = all.code[0];
  CHECK(k.text() == "sm_90 augment: images_kernel<f16>");
  CHECK(k.registers == 64);
  CHECK(k.stack_bytes == 64);
  CHECK(k.shared_bytes == 1392);
  CHECK(k.order == std::vector<std::string>{"LDC", "LDG.E.128", "STG.E.U16", "STL.64"});
  CHECK(k.loads(128) == 1);
  CHECK(k.stores(16) == 1);
  CHECK(k.count("STL") == 1);
  REQUIRE(all.ptx.size() == 1);
  CHECK(all.ptx[0].name == "images_kernel<f16>");
  CHECK(all.ptx[0].instructions.at("fma.rn.f32") == 1);
  CHECK(all.ptx_archs == std::vector<std::string>{"sm_100"});
  CHECK(contains(all.ptxas_options.at(0), "--fmad false"));
}

#include "data/readers/csv.hpp"

#include <algorithm>

#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::data;
using namespace gliograd::test;

namespace {

using Rows = std::vector<std::vector<std::string>>;

std::string parse_error(const std::string& text) {
  return error_of([&] { parse_csv("t.csv", text); });
}

}  // namespace

TEST_CASE("csv: separators, byte-order mark and line ends of all kinds give the same table") {
  const Rows expected = {{"P1", "2", ""}, {"P2", "", "41.5"}};
  for (const std::string& text : std::vector<std::string>{
           "id,class,age\nP1,2,\nP2,,41.5\n", "id;class;age\r\nP1;2;\r\nP2;;41.5\r\n",
           "\xef\xbb\xbfid,class,age\rP1,2,\rP2,,41.5", "id\tclass\tage\nP1\t2\t\n\nP2\t\t41.5\n\n",
           " id , class,age \n P1,2 ,\n,,\nP2,,41.5"}) {
    INFO(text);
    const CsvTable table = parse_csv("t.csv", text);
    CHECK(table.header == std::vector<std::string>{"id", "class", "age"});
    CHECK(table.rows == expected);
  }
}

TEST_CASE("csv: quoted fields hold separators, quotes and line ends") {
  const CsvTable table =
      parse_csv("t.csv", "id,\"a, b\"\nP1,\"x \"\"y\"\"\nz\"\nP2, \"; \" \nP3,\"\"\n");
  CHECK(table.header == std::vector<std::string>{"id", "a, b"});
  CHECK(table.rows == Rows{{"P1", "x \"y\"\nz"}, {"P2", "; "}, {"P3", ""}});
  CHECK(table.lines == std::vector<int64_t>{2, 4, 5});
}

TEST_CASE("csv: Latin-1 becomes UTF-8, UTF-8 stays") {
  CHECK(parse_csv("t.csv", "id\nM\xfcller\n").rows[0][0] == "Müller");
  CHECK(parse_csv("t.csv", "id\nMüller\n").rows[0][0] == "Müller");
}

TEST_CASE("csv: what is wrong is named with its line") {
  CHECK(parse_error("id,a\nP1,1\nP2\n") == "t.csv: line 3 has 1 fields, the header 2");
  CHECK(parse_error("id,a\n\nP1,1,2\n") == "t.csv: line 3 has 3 fields, the header 2");
  CHECK(parse_error("id,a,id\nP1,1,2\n") == "t.csv: line 1: the header names column \"id\" twice");
  CHECK(parse_error("id,,b\nP1,1,2\n") == "t.csv: line 1: column 2 of the header has no name");
  CHECK(parse_error("id,a\nP1,\"1\nP2,2\n") == "t.csv: line 2 opens a quote that is never closed");
  CHECK(parse_error("id,a\nP1,\"1\"2\n") == "t.csv: line 2 has text after a closing quote");
  CHECK(parse_error("") == "t.csv: is empty");
  CHECK(parse_error("\n\r\n") == "t.csv: is empty");
  CHECK(parse_error("id,a\n") == "t.csv: has a header and no rows");
  CHECK(parse_error(std::string("id\0a\nP1\n", 8)) == "t.csv: is no text file");
  CHECK(error_of([] { parse_csv("t.csv", "id,a\nP1,1\n").column("b"); }) ==
        "t.csv: has no column \"b\"; there are: id, a");
}

TEST_CASE("csv: numbers, missing values and the order of classes") {
  CHECK(number_in("41.5", ',') == 41.5);
  CHECK(number_in("+2", ',') == 2);
  CHECK(number_in("41,5", ';') == 41.5);
  for (const char* text : {"41,5", "1 2", "x", "", "inf", "nan", "0x10", "2 "}) {
    CHECK(!number_in(text, ','));
  }
  for (const char* text : {"", "NA", "n/a", "NaN", "null"}) CHECK(is_missing(text));
  for (const char* text : {"0", "none", "NAN1"}) CHECK(!is_missing(text));
  std::vector<std::string> classes = {"b", "10", "IDH-mut", "2", "-1", "02"};
  std::sort(classes.begin(), classes.end(), class_before);
  CHECK(classes == std::vector<std::string>{"-1", "02", "2", "10", "IDH-mut", "b"});
}

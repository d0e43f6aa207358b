package byhand

import (
	"maps"
	"testing"
)

// The bytes are those of a 0200 as ISO 8583:1987 has it, put together on paper.
func TestReadAndWrite(t *testing.T) {
	const sale = "0200" + "723C448008C18010" + "15371449635398431" + "000000" + "000000001099" + "1122170405" + "000042" + "170405" + "1122" + "3109" +
		"012" + "59" + "632617000042" + "TERM01  " + "BOOKSHOP       " + "0041234" + "392" + "006000007"
	mti, fields, err := read("0200" + "723C048008C18010" + sale[20:])
	want := map[int]string{3: "000000", 4: "000000001099", 7: "1122170405", 11: "000042", 12: "170405", 13: "1122", 22: "012", 25: "59", 37: "632617000042",
		41: "TERM01  ", 42: "BOOKSHOP       ", 49: "392", 60: "000007"}
	if err != nil || mti != "0200" || !maps.Equal(fields, want) {
		t.Errorf("read %s %v, %v", mti, fields, err)
	}
	if _, _, err := read(sale); err == nil {
		t.Error("a bitmap with a field that has no length is read")
	}
	got := write("0210", map[int]string{4: "000000001099", 7: "1122170405", 11: "000042", 39: "00", 49: "392", 38: ""})
	if got != "0210"+"1220000002008000"+"000000001099"+"1122170405"+"000042"+"00"+"392" {
		t.Errorf("wrote %s", got)
	}
	if got := write("0810", map[int]string{11: "000001", 70: "001"}); got != "0810"+"80200000000000000400000000000000"+"000001"+"001" {
		t.Errorf("wrote %s", got)
	}
	for _, cut := range []string{"", "0200", sale[:30], "0200" + "8000000000000000", "0210" + "1000000000000000" + "00000000109", "0210" + "1000000000000000" + "0000000010990"} {
		if _, _, err := read(cut); err == nil {
			t.Errorf("%q is read", cut)
		}
	}
}

package nacha

import (
	"os"
	"strings"
	"testing"
)

func TestNamesInAField(t *testing.T) {
	for name, want := range map[string]string{
		"Ada Lovelace":                    "ADA LOVELACE          ",
		"  Ada \u00a0  Lovelace ":         "ADA LOVELACE          ",
		"José Ñáñez de la Torre y Müller": "JOSE NANEZ DE LA TORRE",
		"Jose\u0301 Mu\u0308ller":         "JOSE MULLER           ",
		"Weiß":                            "WEISS                 ",
		"Æsa Þórdís Œuvre":                "AESA THORDIS OEUVRE   ",
		"O’Brien–Smith":                   "O'BRIEN-SMITH         ",
		"王 Wang":                          "? WANG                ",
		"\u0301":                          "?                     ",
		" ":                               "?                     ",
		"~tilde {x} `y`":                  "~TILDE {X} 'Y'        ",
		"A name of just 22 chars":         "A NAME OF JUST 22 CHAR",
		"twenty-one letters ok ß":         "TWENTY-ONE LETTERS OK ",
		"A\xffB":                          "A?B                   ",
		"Nguyễn Văn Đức":                  "NGUYEN VAN DUC        ",
		"Nguye\u0302\u0303n Va\u0306n \u0111u\u031b\u0301c": "NGUYEN VAN DUC        ",
		"Trần Thị Hồng":                                     "TRAN THI HONG         ",
		"Kāneʻohe":                                          "KANEOHE               ",
		"Ṭāriq ʿAlī":                                        "TARIQ ALI             ",
		"Əliyev":                                            "ELIYEV                ",
		"Lê Hoàng Ơn":                                       "LE HOANG ON           ",
		"Ǽsa Ĳsbrand ĲJ":                                    "AESA IJSBRAND IJJ     ",
		"İstanbul Işık ığdır":                               "ISTANBUL ISIK IGDIR   ",
		"Gal·la Ŀull Łukasz":                                "GALLA LULL LUKASZ     ",
		"ＡＤＡ ﬁn Ⅳ":                                          "ADA FIN IV            ",
		"Ǹkanu Ọlá Ẹ̀ṣọ́ Ɓala":                              "NKANU OLA ESO BALA    ",
		"Ségolène Ŵŷn":                                      "SEGOLENE WYN          ",
		"Žižka Őry Ţepeş Ģirts Ǧ":                           "ZIZKA ORY TEPES GIRTS ",
		"한글 Kim":                                            "?? KIM                ",
		"½ \u00a8x":                                         "1?2 X                 ",
	} {
		var field [nameTo - nameFrom]byte
		printName(field[:], []byte(name))
		if string(field[:]) != want {
			t.Errorf("%q is written %q, want %q", name, field, want)
		}
	}
}

func TestPlaceOfPrintableCharacters(t *testing.T) {
	for i := range len(printableASCII) {
		if printableASCII[i] != byte(' '+i) {
			t.Fatalf("character %#x is not in its place", ' '+i)
		}
	}
	if len(printableASCII) != '~'-' '+1 || len(nines) != recordBytes {
		t.Error("a constant has another length")
	}
}

func TestNamesOfTheCases(t *testing.T) {
	text, err := os.ReadFile("../../../../testdata/cases/names.txt")
	if err != nil {
		t.Fatal(err)
	}
	names := strings.Split(strings.TrimSpace(string(text)), "\n")
	wants := []string{"NGUYEN VAN DUC", "TRAN THI HONG", "KANEOHE", "TARIQ", "ELIYEV", "LE HOANG ON"}
	if len(names) != len(wants) {
		t.Fatalf("%d names, want %d", len(names), len(wants))
	}
	for i, name := range names {
		var field [nameTo - nameFrom]byte
		if printName(field[:], []byte(name)); strings.TrimRight(string(field[:]), " ") != wants[i] {
			t.Errorf("%q is written %q, want %q", name, field, wants[i])
		}
	}
}

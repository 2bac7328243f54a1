"""Go's templates: values, blocks, spaces, functions; what cannot be read is said, whatever it is."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.connect.envoy.go_template import MAX_BYTES, MAX_DEPTH, MAX_STEPS, render
from meshagent.errors import BadRequest

DATA: dict[str, Any] = {
    "Name": "web",
    "Empty": "",
    "On": True,
    "List": ["a", "b"],
    "None": [],
    "Deep": {"Inner": "x"},
    "Port": 8,
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("plain { } text", "plain { } text"),
        ("<{{ .Name }}>", "<web>"),
        ("<{{.Name}}>", "<web>"),
        ("a {{- .Name -}} b", "awebb"),
        ("a\n{{- /* { }} */ -}}\n b", "ab"),
        ("{{/* x */}}y", "y"),
        ("{{ .Deep.Inner }}{{ .Port }}{{ .On }}", "x8true"),
        ("{{ $.Deep.Inner }}", "x"),
        ("{{ if .Name }}1{{ else }}2{{ end }}", "1"),
        ("{{ if .Empty }}1{{ else if .Name }}2{{ else }}3{{ end }}", "2"),
        ("{{ if .None }}1{{ end }}.", "."),
        ('{{ if ne .Name "" }}{{ .Name }}{{ else }}default{{ end }}', "web"),
        ("{{ if (not .Empty) }}1{{ end }}", "1"),
        ("{{ if and .Name .Empty }}1{{ else }}0{{ end }}", "0"),
        ("{{ or .Empty .Name }}", "web"),
        ('{{ if eq .Name "api" "web" }}1{{ end }}', "1"),
        ("{{ if lt .Port 9 }}1{{ end }}{{ len .List }}", "12"),
        ("{{ range $i, $one := .List }}{{ if $i }},{{ end }}{{ $one }}{{ end }}", "a,b"),
        ("{{ range .List }}<{{ . }}>{{ end }}", "<a><b>"),
        ("{{ range .None }}x{{ else }}none{{ end }}", "none"),
        ("{{ range $k, $v := .Deep }}{{ $k }}={{ $v }}{{ end }}", "Inner=x"),
        ("{{ with .Deep }}{{ .Inner }}{{ $.Name }}{{ end }}", "xweb"),
        ("{{ $x := .Name }}{{ if .On }}{{ $x = `y` }}{{ end }}{{ $x }}", "web"),
        ('{{ "}}" }}{{ `{{` }}{{ "a\\"b" }}', '}}{{a"b'),
        ("{{ .Name | print `of ` }}", "of web"),
        ("{{ print (len .Name) -1 }}", "3-1"),
        ('{{ index .Deep `Inner` }}{{ index .List 1 }}{{ js `a"b` }}', 'xba\\"b'),
        ("{{ nil }}{{ false }}", "<no value>false"),
    ],
)
def test_what_is_rendered(template: str, text: str) -> None:
    assert render(template, DATA) == text


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ .Nope }}", "template: can't evaluate field Nope"),
        ("{{ .Name.Nope }}", "template: can't evaluate field Nope"),
        ("{{ $x }}", "template: undefined variable '$x'"),
        ("{{ nope 1 }}", "template: function 'nope' not defined"),
        ("{{ .Name", "template: an action has no }}"),
        ("{{ }}", "template: missing value for command"),
        ("{{ if .Name }}", "template: {{if}} has no {{end}}"),
        ("{{ end }}", "template: unexpected {{end}}"),
        ("{{ else }}", "template: unexpected {{else}}"),
        ("{{ if 1 }}{{ else }}{{ else }}{{ end }}", "template: unexpected {{else}}"),
        ("{{ if 1 }}{{ else with 2 }}{{ end }}", "template: unexpected 'with' after else"),
        ("{{ .Name .Port }}", "template: can't give argument to non-function"),
        ("{{ not }}", "template: wrong number of args for not: got 0"),
        ("{{ len 1 }}", "template: len: wrong type of value"),
        ("{{ lt .Name 1 }}", "template: incompatible types for comparison"),
        ("{{ range .Name }}{{ end }}", "template: range can't iterate over what is no list"),
        ("{{ (.Name }}", "template: unclosed left paren"),
        ("{{ .Name ) }}", "template: unexpected ')'"),
        ("{{ 1 := 2 }}", "template: unexpected ':='"),
        ("{{ index .List 5 }}", "template: index: there is no 5"),
        ("{{ # }}", "template: cannot read '#'"),
        ('{{ "\\q" }}', 'template: cannot read "\\q"'),
        ("{{ if 1 }}" * (MAX_DEPTH + 1), f"template: more than {MAX_DEPTH} blocks in each other"),
        ("{{ " + "(" * 99 + "1 }}", f"template: more than {MAX_DEPTH} parentheses in each other"),
        ("{{ range $ }}" * 9 + "{{ end }}" * 9, f"template: more than {MAX_STEPS} steps"),
        ("x" * (MAX_BYTES + 1), f"template: more than {MAX_BYTES} bytes"),
    ],
)
def test_what_is_refused(template: str, message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        render(template, DATA)
    assert str(caught.value) == message


_PIECES = st.sampled_from(
    ["{{", "}}", "-", " ", ".", ".Name", "$", "$x", ":=", "=", "if", "else", "end", "range", "with", "(", ")", "|", ",",
     '"', "`", "a", "1", "not", "index", "len", "/*", "*/", "\n", ".List", "print"]
)  # fmt: skip


@given(st.one_of(st.text(), st.lists(_PIECES).map("".join), st.lists(_PIECES).map(lambda all: " ".join(all))))
def test_anything_is_rendered_or_refused(template: str) -> None:
    with contextlib.suppress(BadRequest):
        assert isinstance(render(template, DATA), str)

// What is read of a form's fields.
import assert from "node:assert/strict";
import test from "node:test";
import { formOf, read } from "./page.mjs";

test("text, textarea, select, number and date are strings under their names", () => {
    const [values] = read(
        formOf(`
            <input name="first" value="James"><textarea name="note">two
lines</textarea><select name="city"><option>Rome<option value="PAR" selected>Paris</select>
            <input type="number" name="age" value="42"><input type="date" name="day" value="2026-11-25">`)
    );
    assert.deepEqual(values, { first: "James", note: "two\nlines", city: "PAR", age: "42", day: "2026-11-25" });
});

test("an option without a value is its text", () => {
    const [values] = read(formOf(`<select name="city"><option selected>Rome</select>`));
    assert.deepEqual(values, { city: "Rome" });
});

test("a selection of several and boxes of one name are lists, even of one", () => {
    const [values] = read(
        formOf(`
            <select name="m" multiple><option selected>a<option selected>b<option>c</select>
            <select name="n" multiple><option selected>a<option>b</select>
            <input type="checkbox" name="box" value="1" checked><input type="checkbox" name="box" value="2">
            <input type="checkbox" name="single" value="yes" checked>
            <input type="checkbox" name="none" value="yes">
            <input name="phone" value="1"><input name="phone" value="2">`)
    );
    assert.deepEqual(values, { m: ["a", "b"], n: ["a"], box: ["1"], single: "yes", phone: ["1", "2"] });
});

test("of radios the chosen one counts", () => {
    const [values] = read(
        formOf(`<input type="radio" name="size" value="s"><input type="radio" name="size" value="m" checked>
            <input type="radio" name="color" value="red">`)
    );
    assert.deepEqual(values, { size: "m" });
});

test("empty, nameless, disabled fields and buttons are not sent", () => {
    const [values] = read(
        formOf(`<input name="empty" value=""><input value="no name"><input name="off" value="1" disabled>
            <fieldset disabled><input name="inside" value="1"></fieldset>
            <input type="submit" name="go" value="Go"><input type="reset" name="r" value="Reset">
            <input type="button" name="b" value="B"><input type="image" name="i" value="I">
            <button name="button" value="x">x</button><output name="o">5</output>
            <select name="s"><option disabled selected>Choose</select>`)
    );
    assert.deepEqual(values, {});
});

test("a value the service would not keep is left out", () => {
    const [values] = read(formOf(`<input name="a" value="${"x".repeat(2049)}"><input name="b" value="b">`));
    assert.deepEqual(values, { b: "b" });
});

test("fields outside of the form that belong to it count", () => {
    const [values] = read(formOf(`<input name="a" value="1">`, `<input form="f" name="b" value="2">`));
    assert.deepEqual(values, { b: "2", a: "1" });
});

test("fields may have the names of the form's own members", () => {
    const names = ["elements", "id", "name", "action", "ownerDocument2", "__proto__", "constructor", "toString"];
    const form = formOf(names.map((name) => `<input name="${name}" value="v">`).join(""));
    const [, { attributes }] = read(form);
    assert.deepEqual(attributes.map(({ name }) => name), names);
});

test("labels name the fields, by for, around and aria-labelledby, in this order", () => {
    const around = `<span id="l1">Your</span><span id="l2">street *</span>`;
    const form = formOf(
        `<label for="x">First
                name:</label><label>ignored<input id="x" name="a" value="1"></label>
            <label>Country <select name="b"><option selected>FR</select></label>
            <input name="c" value="3" aria-labelledby="l1 missing l2">
            <input name="d" value="4"><label for="e"> </label><input id="e" name="e" value="5">
            <label><input type="checkbox" name="f" value="6" checked><b>I</b> agree<script>1</script></label>`,
        around
    );
    const [values] = read(form, { useLabels: true });
    assert.deepEqual(values, {
        "First name:": "1",
        Country: "FR",
        "Your street *": "3",
        d: "4",
        e: "5",
        "I agree": "6",
    });
});

test("a label longer than a name may be is none", () => {
    const label = (length) => `<label>${"x".repeat(length)}<input name="a" value="1"></label>`;
    assert.deepEqual(read(formOf(label(256)), { useLabels: true })[0], { a: "1" });
    assert.deepEqual(Object.keys(read(formOf(label(255)), { useLabels: true })[0])[0].length, 255);
});

test("a field with a name longer than an attribute's may be is left out", () => {
    const form = formOf(`<input name="${"n".repeat(256)}" value="long@example.com"><input name="${"m".repeat(255)}" value="1">
        <input name="${"o".repeat(256)}" id="o" value="2"><label for="o">Short</label>`);
    const [values, contents] = read(form);
    assert.deepEqual(values, { ["m".repeat(255)]: "1" });
    assert.equal(contents.email, undefined);
    assert.deepEqual(read(form, { useLabels: true })[0], { ["m".repeat(255)]: "1", Short: "2" });
});

test("the first e-mail address in a field that is sent is the visitor's", () => {
    const form = formOf(`<input type="hidden" name="h" value="hidden@example.com">
        <input name="not" value="me at example.com"><input name="x" value="a@b">
        <input name="contact" value=" James@Example.com "><input name="other" value="second@example.com">`);
    const [values, contents] = read(form);
    assert.equal(contents.email, "James@Example.com");
    assert.equal(values.contact, " James@Example.com ");
    assert.equal(read(form, { isSent: (name) => name !== "contact" })[1].email, "second@example.com");
    assert.equal(read(formOf(`<input name="a" value="b">`))[1].email, undefined);
});

test("the address loses its query when that names a field that is not sent", () => {
    const page = (html, query) => read(formOf(html), { href: `https://shop.example/a${query}` })[1].url;
    const password = `<input type="password" name="pass" value="x">`;
    assert.equal(page(password, "?pass=geheim"), "https://shop.example/a");
    assert.equal(page(password, "?a=1&pass=geheim#x"), "https://shop.example/a");
    assert.equal(page(password, "?a=1&bypass=2#x"), "https://shop.example/a?a=1&bypass=2#x");
    assert.equal(page(`<input name="pass" value="x">`, "?page=2"), "https://shop.example/a?page=2");
});

test("reading changes nothing", () => {
    const form = formOf(`<input name="a" value="1"><select name="s"><option>x</select>`);
    const before = form.outerHTML;
    read(form, { useLabels: true });
    assert.equal(form.outerHTML, before);
});

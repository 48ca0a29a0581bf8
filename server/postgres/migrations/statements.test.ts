import { expect, test } from 'vitest'
import { splitStatements } from './statements.ts'

const texts = (script: string) => splitStatements(script).map(statement => statement.text)

test('statements end at semicolons, without the comments between them', () => {
  const script = '-- one\nselect 1;\n\n/* two; /* nested; */ */ select 2 -- end;\n;;\nselect 3'
  expect(splitStatements(script)).toEqual([
    { text: 'select 1', line: 2 },
    { text: 'select 2', line: 4 },
    { text: 'select 3', line: 6 },
  ])
})

test('a semicolon in quotes, dollar quotes or parentheses ends no statement', () => {
  const script = `select ';', "a;""b", 'it''s; one', e'\\';', $$;$$, $a$ $$;$$ $a$, (1);
    create rule r as on insert to t do also (select 1; select 2); select $1 + a$b;`
  expect(texts(script)).toEqual([
    `select ';', "a;""b", 'it''s; one', e'\\';', $$;$$, $a$ $$;$$ $a$, (1)`,
    'create rule r as on insert to t do also (select 1; select 2)',
    'select $1 + a$b',
  ])
})

test('a routine with a begin atomic body is one statement', () => {
  const body = `create or replace function app.f(a int) returns int language sql
    begin atomic select case when a > 0 then 1 else 2 end; select 3; end`
  expect(texts(`${body}; select 1`)).toEqual([body, 'select 1'])
})

test('an unclosed quote gives one statement, which Postgres then refuses', () => {
  expect(texts("select 'open; select 2")).toEqual(["select 'open; select 2"])
  expect(texts('select $x$ open; select 2')).toEqual(['select $x$ open; select 2'])
})

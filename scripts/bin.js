#!/usr/bin/env node
// A checkout runs from its source. Node strips no types below node_modules, so an installed package runs what was built.
const isInstalled = import.meta.dirname.includes('node_modules')
const { createProgram } = await import(
  isInstalled ? '../dist/scripts/kysely-migrate.js' : './kysely-migrate.ts'
)
const { runWhenMain } = await import(isInstalled ? '../dist/scripts/migrate/run.js' : './migrate/run.ts')

await runWhenMain(import.meta.url, createProgram)

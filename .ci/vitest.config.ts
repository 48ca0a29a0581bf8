import { defineConfig } from 'vitest/config'

// What docs/operating.md has an operator do with servers of the system's, which the suite can do without.
export default defineConfig({
  test: {
    root: new URL('..', import.meta.url).pathname,
    include: ['.ci/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
})

import { defineConfig } from 'vitest/config'

// `npm run test:next`. Apart from the suite: it installs and builds an app, which takes minutes.
export default defineConfig({
  test: {
    include: ['examples/**/*.test.ts'],
    exclude: ['**/node_modules/**'],
    testTimeout: 60_000,
    hookTimeout: 900_000,
  },
})

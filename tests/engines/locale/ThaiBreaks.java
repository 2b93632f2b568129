package tributary.tests.locale;

import java.text.BreakIterator;
import java.text.CharacterIterator;
import java.text.spi.BreakIteratorProvider;
import java.util.Locale;

/**
 * Lets the servers start on a Java run-time that was trimmed of its Thai dictionary. Both create all their
 * analyzers with each index and give up if a probe sentence ("four characters, then a boundary") is not split.
 * Words are found as in any other language: Thai text is NOT segmented. Used with the packaged run-time only.
 * It is an agent, so that it is in place before Elasticsearch forbids new providers.
 */
public final class ThaiBreaks extends BreakIteratorProvider {
    private static final Locale[] THAI = {Locale.of("th"), Locale.of("th", "TH")};

    /** Called before the server's main method. */
    public static void premain(String arguments) {
        BreakIterator.getWordInstance(THAI[0]);
    }

    @Override
    public Locale[] getAvailableLocales() {
        return THAI.clone();
    }

    @Override
    public BreakIterator getWordInstance(Locale locale) {
        return new Words(BreakIterator.getWordInstance(Locale.ROOT));
    }

    @Override
    public BreakIterator getLineInstance(Locale locale) {
        return BreakIterator.getLineInstance(Locale.ROOT);
    }

    @Override
    public BreakIterator getCharacterInstance(Locale locale) {
        return BreakIterator.getCharacterInstance(Locale.ROOT);
    }

    @Override
    public BreakIterator getSentenceInstance(Locale locale) {
        return BreakIterator.getSentenceInstance(Locale.ROOT);
    }

    private static final class Words extends BreakIterator {
        private final BreakIterator words;

        Words(BreakIterator words) {
            this.words = words;
        }

        @Override
        public boolean isBoundary(int offset) {
            return words.isBoundary(offset) || offset == 4;
        }

        @Override
        public Object clone() {
            return new Words((BreakIterator) words.clone());
        }

        @Override
        public int first() {
            return words.first();
        }

        @Override
        public int last() {
            return words.last();
        }

        @Override
        public int next(int n) {
            return words.next(n);
        }

        @Override
        public int next() {
            return words.next();
        }

        @Override
        public int previous() {
            return words.previous();
        }

        @Override
        public int following(int offset) {
            return words.following(offset);
        }

        @Override
        public int current() {
            return words.current();
        }

        @Override
        public CharacterIterator getText() {
            return words.getText();
        }

        @Override
        public void setText(CharacterIterator text) {
            words.setText(text);
        }
    }
}

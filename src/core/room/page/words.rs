//! The page's words. In the phrases `#` is a number, and `~` how long it will take.

use super::super::accept::Language;

/// What one language has to say, by name: what stands in the page, and what its script changes too.
pub struct Words {
    pub labels: &'static [(&'static str, &'static str)],
    pub phrases: &'static [(&'static str, &'static str)],
}

impl Words {
    /// The words of a language.
    pub fn of(language: Language) -> &'static Self {
        match language {
            Language::English => &ENGLISH,
            Language::Japanese => &JAPANESE,
        }
    }

    /// The text of that name.
    pub fn get(&self, name: &str) -> Option<&'static str> {
        self.labels.iter().chain(self.phrases).find(|(key, _)| *key == name).map(|(_, text)| *text)
    }
}

const ENGLISH: Words = Words {
    labels: &[
        ("lang", "en"),
        ("unit", ""),
        ("progress", "Progress through the queue"),
        ("people_label", "People waiting"),
        ("wait_label", "Estimated wait"),
        ("lot", "Places are drawn by lot: everyone who waits has the same chance, again and again."),
        ("again", "Send again"),
        ("noscript", "Your place is kept in a cookie. Please allow cookies for this site."),
        (
            "noscript_other",
            "Please reload this page from time to time: your place is kept in a cookie, and your \
             browser will ask whether to send your request again.",
        ),
    ],
    phrases: &[
        ("waiting", "You are in the queue"),
        ("full", "The queue is full"),
        ("lead", "So many people are visiting right now that we let them in one after another."),
        (
            "lead_full",
            "So many people are visiting right now that there is no place left in the queue. You can \
             leave this page open, or come back a little later.",
        ),
        (
            "keep",
            "This page refreshes itself and keeps your place. When it is your turn, the site opens by \
             itself.",
        ),
        (
            "keep_other",
            "This page keeps your place. When it is your turn, you can send your request again.",
        ),
        ("keep_full", "This page keeps trying by itself."),
        ("place", "Your place in the queue"),
        ("joining", "Finding your place in the queue"),
        ("title", "# · In the queue"),
        ("your_turn", "It is your turn"),
        ("person", "# person"),
        ("people", "# people"),
        ("unknown", "not known yet"),
        ("moment", "less than a minute"),
        ("minute", "about a minute"),
        ("minutes", "about # minutes"),
        ("hour", "about an hour"),
        ("hours", "about # hours"),
        ("half_hours", "about #½ hours"),
        ("day", "more than a day"),
        ("spoken", "You are number # in the queue. Estimated wait: ~."),
        (
            "cookies",
            "Your place is kept in a cookie, but this browser seems to block cookies. Please allow \
             them for this site, then reload this page.",
        ),
        ("trouble", "The site cannot be reached at the moment. This page keeps trying."),
        ("turn", "It is your turn. The site is opening."),
        ("send", "It is your turn. Please send your request again."),
    ],
};

const JAPANESE: Words = Words {
    labels: &[
        ("lang", "ja"),
        ("unit", "番目"),
        ("progress", "順番の進み具合"),
        ("people_label", "お待ちの人数"),
        ("wait_label", "待ち時間の目安"),
        ("lot", "ご案内する方は抽選で決まります。お待ちの方には、毎回等しく機会があります。"),
        ("again", "もう一度送信する"),
        ("noscript", "順番はCookieで保たれます。このサイトのCookieを許可してください。"),
        (
            "noscript_other",
            "ときどきこのページを再読み込みしてください。順番はCookieで保たれます。再読み込みの際、\
             内容を再送信するかどうかをブラウザーが確認します。",
        ),
    ],
    phrases: &[
        ("waiting", "順番にご案内しています"),
        ("full", "ただいま満員です"),
        ("lead", "ただいまアクセスが集中しているため、お一人ずつ順番にご案内しています。"),
        (
            "lead_full",
            "アクセスが大変集中しており、お待ちいただける人数の上限に達しました。このページを開いた\
             ままにしていただくか、しばらくしてからもう一度お越しください。",
        ),
        (
            "keep",
            "このページは自動的に更新され、順番はそのまま保たれます。順番になると、サイトが自動的に\
             開きます。",
        ),
        (
            "keep_other",
            "このページを開いている間、順番は保たれます。順番になりましたら、内容をもう一度送信して\
             ください。",
        ),
        ("keep_full", "このページは自動的に再試行します。"),
        ("place", "あなたの順番"),
        ("joining", "順番を確認しています"),
        ("title", "#番目 · 順番待ち"),
        ("your_turn", "順番になりました"),
        ("person", "#人"),
        ("people", "#人"),
        ("unknown", "まだわかりません"),
        ("moment", "1分未満"),
        ("minute", "約1分"),
        ("minutes", "約#分"),
        ("hour", "約1時間"),
        ("hours", "約#時間"),
        ("half_hours", "約#時間半"),
        ("day", "1日以上"),
        ("spoken", "現在#番目です。待ち時間の目安：~。"),
        (
            "cookies",
            "順番を保つにはCookieが必要ですが、このブラウザーではブロックされているようです。このサイトの\
             Cookieを許可してから、ページを再読み込みしてください。",
        ),
        ("trouble", "現在、サイトに接続できません。自動的に再試行しています。"),
        ("turn", "順番になりました。サイトを開いています。"),
        ("send", "順番になりました。内容をもう一度送信してください。"),
    ],
};

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

    /// The text of that name which belongs to that view of the page, as in `heading_full`.
    pub fn get_for(&self, name: &str, view: &str) -> Option<&'static str> {
        let is_meant = |key: &str| {
            key.strip_prefix(name).and_then(|rest| rest.strip_prefix('_')) == Some(view)
        };
        self.phrases.iter().find(|(key, _)| is_meant(key)).map(|(_, text)| *text)
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
        ("again", "Send again"),
        ("noscript", "Your place is kept in a cookie. Please allow cookies for this site."),
        (
            "noscript_other",
            "Please reload this page from time to time: your place is kept in a cookie, and your \
             browser will ask whether to send your request again.",
        ),
    ],
    phrases: &[
        ("heading_queue", "You are in the queue"),
        ("heading_lot", "You are waiting to be let in"),
        ("heading_full", "The queue is full"),
        ("heading_turn", "It is your turn"),
        (
            "lead_queue",
            "So many people are visiting right now that we let them in one after another.",
        ),
        (
            "lead_lot",
            "So many people are visiting right now that we let them in by lot: everyone who waits has \
             the same chance, again and again.",
        ),
        (
            "lead_full",
            "So many people are visiting right now that there is no place left in the queue. You can \
             leave this page open, or come back a little later.",
        ),
        ("lead_turn", "The site is opening."),
        ("send", "Please send your request again."),
        (
            "keep_queue",
            "This page refreshes itself and keeps your place. When it is your turn, the site opens by \
             itself.",
        ),
        (
            "keep_lot",
            "This page refreshes itself. When it is your turn, the site opens by itself.",
        ),
        ("keep_full", "This page keeps trying by itself."),
        ("keep_turn", ""),
        (
            "keep_other",
            "Please leave this page open. When it is your turn, you can send your request again.",
        ),
        ("place", "Your place in the queue"),
        ("joining", "Finding your place in the queue"),
        ("title", "# · In the queue"),
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
    ],
};

const JAPANESE: Words = Words {
    labels: &[
        ("lang", "ja"),
        ("unit", "番目"),
        ("progress", "順番の進み具合"),
        ("people_label", "お待ちの人数"),
        ("wait_label", "待ち時間の目安"),
        ("again", "もう一度送信する"),
        ("noscript", "順番はCookieで保たれます。このサイトのCookieを許可してください。"),
        (
            "noscript_other",
            "ときどきこのページを再読み込みしてください。順番はCookieで保たれます。再読み込みの際、\
             内容を再送信するかどうかをブラウザーが確認します。",
        ),
    ],
    phrases: &[
        ("heading_queue", "順番にご案内しています"),
        ("heading_lot", "お待ちください"),
        ("heading_full", "ただいま満員です"),
        ("heading_turn", "順番になりました"),
        (
            "lead_queue",
            "ただいまアクセスが集中しているため、お一人ずつ順番にご案内しています。",
        ),
        (
            "lead_lot",
            "ただいまアクセスが集中しているため、抽選でご案内しています。お待ちの方には、毎回等しく機会が\
             あります。",
        ),
        (
            "lead_full",
            "アクセスが大変集中しており、お待ちいただける人数の上限に達しました。このページを開いた\
             ままにしていただくか、しばらくしてからもう一度お越しください。",
        ),
        ("lead_turn", "サイトを開いています。"),
        ("send", "内容をもう一度送信してください。"),
        (
            "keep_queue",
            "このページは自動的に更新され、順番はそのまま保たれます。順番になると、サイトが自動的に\
             開きます。",
        ),
        (
            "keep_lot",
            "このページは自動的に更新されます。当選すると、サイトが自動的に開きます。",
        ),
        ("keep_full", "このページは自動的に再試行します。"),
        ("keep_turn", ""),
        (
            "keep_other",
            "このページを開いたままお待ちください。順番になりましたら、内容をもう一度送信できます。",
        ),
        ("place", "あなたの順番"),
        ("joining", "順番を確認しています"),
        ("title", "#番目 · 順番待ち"),
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
    ],
};
